"""Weight files into networks: all is checked from the headers first, then read tensor by tensor onto the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from rival_jax.devices import everywhere
from rival_jax.errors import InputError
from rival_jax.models.clip import CLIP as CLIPModel
from rival_jax.models.clip import ImageEncoder, ProjectedTextEncoder, TextEncoder
from rival_jax.models.clip_config import CLIPConfig, TextConfig, VisionConfig
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.models.controlnet import ControlNet as ControlNetModel
from rival_jax.models.controlnet import ControlNetConfig
from rival_jax.models.ip_adapter import IPAdapterNetwork
from rival_jax.models.ip_adapter_config import IPAdapterConfig
from rival_jax.models.safety import SafetyNetwork
from rival_jax.models.unet import UNet
from rival_jax.models.vae import VAE as AutoencoderKL
from rival_jax.weights import sd_keys
from rival_jax.weights.files import DIFFUSERS, TRANSFORMERS, read_json, weight_files
from rival_jax.weights.headers import index
from rival_jax.weights.original_keys import original
from rival_jax.weights.rules import Layout, Table, assign, leaf_paths, with_leaves
from rival_jax.weights.single_file import SingleFile
from rival_jax.weights.stored import Stored


class Config(Protocol):
    """A frozen dataclass read from a config.json."""

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Config: ...


@dataclass(frozen=True)
class Part:
    """A network of a checkpoint: its folder, its class, how its config is read, its key table, its files' names."""

    folder: str
    module: Callable[..., nnx.Module]
    config: type[Config]
    table: Table
    stem: str = TRANSFORMERS


TEXT_ENCODER = Part("text_encoder", TextEncoder, TextConfig, sd_keys.TEXT)
TEXT_ENCODER_2 = Part("text_encoder_2", ProjectedTextEncoder, TextConfig, sd_keys.TEXT_PROJECTED)
IMAGE_ENCODER = Part("image_encoder", ImageEncoder, VisionConfig, sd_keys.IMAGE)
VAE = Part("vae", AutoencoderKL, VAEConfig, sd_keys.VAE, DIFFUSERS)
UNET = Part("unet", UNet, UNetConfig, sd_keys.UNET, DIFFUSERS)
SAFETY_CHECKER = Part("safety_checker", SafetyNetwork, CLIPConfig, sd_keys.SAFETY)
CLIP = Part("", CLIPModel, CLIPConfig, sd_keys.CLIP)
CONTROLNET = Part("", ControlNetModel, ControlNetConfig, sd_keys.CONTROLNET, DIFFUSERS)


@dataclass(frozen=True)
class Plan:
    """A network, where each of its leaves is stored and how, all checked; no weight is read yet.

    `folder` ends in the part's name, and is only a name where all networks are in a single file. `state` holds shapes
    and dtypes, `sources` a tensor and its layout under every leaf's dotted path.
    """

    folder: Path
    config: Any
    graphdef: nnx.GraphDef
    state: nnx.State
    sources: dict[str, tuple[Stored, Layout]]
    files: tuple[Path, ...]

    @property
    def leaves(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape and dtype of every leaf."""
        return leaf_paths(self.state)

    @property
    def parameters(self) -> int:
        return sum(math.prod(leaf.shape) for leaf in self.leaves.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all leaves on the device."""
        return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in self.leaves.values())

    @property
    def is_cast(self) -> bool:
        """Whether the files hold another dtype than is wanted."""
        leaves = self.leaves
        return any(tensor.dtype != leaves[path].dtype for path, (tensor, _) in self.sources.items())

    def fill(self, leaves: Mapping[str, jax.Array]) -> nnx.State:
        """The state with a value for every leaf."""
        return with_leaves(self.state, leaves)


def plan(directory: Path, part: Part, dtype: DTypeLike, single: SingleFile | None = None) -> Plan:
    """Prepares a network of the model in `directory`, with parameters in `dtype`; its weights may be in a single file.

    Reads the config and the headers of the weight files only. Raises InputError for what cannot be loaded.
    """
    folder = directory / part.folder
    config, network = build(part, folder / "config.json", dtype)
    if single:
        if isinstance(config, UNetConfig):
            single.check_kind(config, directory)
        place, files, tensors = single.file / part.folder, [single.file], single.tensors[part.folder]
        table, owner = original(part.table, config), f"{single.file} ({part.folder}, by the configs of {directory})"
    else:
        files = weight_files(folder, part.stem, dtype)
        place, tensors, owner = folder, _tensors(files), str(folder)
        table = sd_keys.FLAX if files[0].suffix == ".msgpack" else part.table
    graphdef, state, sources = _fit(network, tensors, table, owner)
    return Plan(place, config, graphdef, state, sources, tuple(files))


def plan_adapter(file: Path, unet: UNetConfig, dtype: DTypeLike) -> Plan:
    """Prepares an IP-Adapter of this UNet, as `plan` does; it is one file, whose tensors say what it is made of."""
    tensors = index(file)
    config = IPAdapterConfig.from_shapes(str(file), {key: tensor.shape for key, tensor in tensors.items()}, unet)
    network = nnx.eval_shape(lambda: IPAdapterNetwork(config, dtype=dtype, rngs=_OneKey()))
    fitted = _fit(network, tensors, sd_keys.IP_ADAPTER, str(file), "an IP-Adapter of this model")
    return Plan(file, config, *fitted, (file,))


def plan_files(files: Sequence[Path], network: Callable[..., nnx.Module], config: Any, table: Table, name: str) -> Plan:
    """Prepares a network of a known config, in float32, whose tensors are all in these files.

    `name` is what it is called where they are another's. Raises InputError for what cannot be loaded.
    """
    owner = " and ".join(map(str, files))
    skeleton = nnx.eval_shape(lambda: network(config, dtype=jnp.float32, rngs=_OneKey()))
    return Plan(files[0], config, *_fit(skeleton, _tensors(files), table, owner, name), tuple(files))


def _fit(
    network: nnx.Module, tensors: Mapping[str, Stored], table: Table, *names: str
) -> tuple[nnx.GraphDef, nnx.State, dict[str, tuple[Stored, Layout]]]:
    """A network in its two halves, and the tensor and its layout of every leaf; `names` are for `assign`."""
    graphdef, state = nnx.split(network)
    shapes = {path: leaf.shape for path, leaf in leaf_paths(state).items()}
    assigned = assign(table, {key: tensor.shape for key, tensor in tensors.items()}, shapes, *names)
    return graphdef, state, {path: (tensors[key], layout) for path, (key, layout) in assigned.items()}


def build(part: Part, file: Path, dtype: DTypeLike) -> tuple[Any, nnx.Module]:
    """A network's config and its structure, without weights. Raises InputError for a config of no possible network."""
    try:
        config = part.config.from_dict(read_json(file))
        return config, nnx.eval_shape(lambda: part.module(config, dtype=dtype, rngs=_OneKey()))
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"The config {file} describes no network that can be built: {error}.") from error


def image_statistics(folder: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (width,), float32, of embedded pictures: Stable unCLIP's `image_normalizer`.

    Raises InputError for a folder without them, or of another width.
    """
    tensors = _tensors(weight_files(folder, DIFFUSERS, jnp.float32))
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != {"mean": (1, width), "std": (1, width)}:
        raise InputError(f"The folder {folder} has {found}, but must have mean and std of shape {(1, width)}.")
    mean, std = (tensors[name].read().astype(np.float32)[0] for name in ("mean", "std"))
    return mean, std


class _OneKey(nnx.Rngs):
    """The same key for every parameter, enough for shapes.

    Advancing nnx.Rngs under eval_shape takes time quadratic in the number of parameters on some versions of flax.
    """

    def __init__(self):
        pass

    def params(self) -> jax.Array:
        return jax.random.key(0)


def _tensors(files: Sequence[Path]) -> dict[str, Stored]:
    tensors: dict[str, Stored] = {}
    for file in files:
        inside = index(file)
        twice = sorted(tensors.keys() & inside.keys())
        if twice:
            raise InputError(f"The weight file {file} repeats tensors of another shard: {', '.join(twice)}.")
        tensors |= inside
    return tensors


def read(plan: Plan) -> nnx.State:
    """Reads all leaves onto every device, two at a time: the host holds little more than the model.

    Tensors are cast on the host, which needs no compilation, and transposed on their way to the device.
    """

    def place(path: str) -> jax.Array:
        tensor, layout = plan.sources[path]
        cast = tensor.read().astype(leaves[path].dtype, copy=False)
        return jax.block_until_ready(jax.device_put(layout.leaf(cast), devices))

    leaves, devices = plan.leaves, everywhere()
    with ThreadPoolExecutor(2) as pool:
        return plan.fill(dict(zip(leaves, pool.map(place, leaves), strict=True)))


def zeros(plan: Plan) -> nnx.State:
    """Nothing in place of all leaves, on every device."""
    devices = everywhere()
    return plan.fill({path: jnp.zeros(leaf.shape, leaf.dtype, device=devices) for path, leaf in plan.leaves.items()})
