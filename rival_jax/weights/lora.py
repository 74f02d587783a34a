"""LoRA files merged into networks: to a layer's weight the product of two thin matrices is added."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from rival_jax.errors import InputError
from rival_jax.models.network import Network
from rival_jax.weights.headers import index
from rival_jax.weights.lora_keys import OTHER_KINDS, Name, layers, parse
from rival_jax.weights.rules import Layout, Shape, leaf_paths, with_leaves
from rival_jax.weights.sd_keys import CONV, POINTWISE
from rival_jax.weights.stored import Stored

_ACCEPTED = "accepted: LoRA of this model's linear and convolution layers, in diffusers' or kohya's layout"


@dataclass(frozen=True)
class Update:
    """What is added to one kernel: `factor` times `up` (out, rank) @ `down` (rank, in).

    Both may be stored as convolutions, (out, rank, 1, 1) and (rank, in, y, x), whether or not the layer is one.
    """

    down: Stored
    up: Stored
    factor: float
    layout: Layout

    def delta(self) -> np.ndarray:
        """The whole addition in the kernel's layout, float32."""
        down, up = (tensor.read().astype(np.float32) for tensor in (self.down, self.up))
        product = up.reshape(len(up), -1) @ down.reshape(len(down), -1)
        return np.float32(self.factor) * self.layout.leaf(product.reshape(_product(self.down.shape, self.up.shape)))


def merge(networks: Mapping[str, Network], files: Sequence[tuple[Path, float]]) -> dict[str, Network]:
    """The networks, by their names in a pipeline, with LoRA files merged one after the other, each times its scale.

    Sums are float32 on the host and rounded once. Raises InputError for a file that does not fit, before any is merged.
    """
    fitting = [(read(file, networks), scale) for file, scale in files]
    return {
        name: _merge_into(network, [(updates[name], scale) for updates, scale in fitting if scale])
        for name, network in networks.items()
    }


def _merge_into(network: Network, merged: list[tuple[dict[str, Update], float]]) -> Network:
    leaves, changed = leaf_paths(network.state), {}
    for path in {path: None for updates, _ in merged for path in updates}:
        kernel = np.asarray(leaves[path], np.float32)
        for updates, scale in merged:
            if path in updates:
                kernel = kernel + np.float32(scale) * updates[path].delta()
        changed[path] = jax.device_put(kernel.astype(leaves[path].dtype), leaves[path].sharding)
    return replace(network, state=with_leaves(network.state, changed))


def read(file: Path, networks: Mapping[str, Network]) -> dict[str, dict[str, Update]]:
    """A file's updates by network and kernel path; no tensor but the alphas is read.

    Raises InputError that names the file and what is wrong with it.
    """
    leaves = {name: leaf_paths(network.state) for name, network in networks.items()}
    known = {name: layers(leaves[name], network.config) for name, network in networks.items()}
    tensors = index(file)
    found: dict[tuple[str, str], dict[str, tuple[Name, Stored]]] = {}
    strays = []
    for key, tensor in tensors.items():
        name = parse(key)
        path = known.get(name.network, {}).get(name.flat) if name else None
        if not name or not path or name.role in found.setdefault((name.network, path), {}):
            strays.append(key)
        else:
            found[name.network, path][name.role] = name, tensor
    _check(file, list(tensors), strays)
    config = _alphas(file)
    updates: dict[str, dict[str, Update]] = {name: {} for name in networks}
    for (network, path), parts in found.items():
        updates[network][path] = _update(file, path, leaves[network][path].shape, parts, config)
    return updates


def _check(file: Path, keys: list[str], strays: list[str]) -> None:
    """Raises InputError for a file with tensors that cannot be merged, or without any."""
    for key in strays:
        for part, kind in OTHER_KINDS.items():
            if part in key:
                raise _refused(file, f"it is a {kind} ({key})")
    if strays:
        count = f"{len(strays)} of its {len(keys)} tensors have"
        raise _refused(file, f"{count} no place in this model, {strays[0]} for one, so it is of another model or kind")
    if not keys:
        raise _refused(file, "it holds no tensors")


def _refused(file: Path, reason: str) -> InputError:
    return InputError(f"The LoRA {file} cannot be merged: {reason}; {_ACCEPTED}.")


def _update(
    file: Path, path: str, shape: Shape, parts: dict[str, tuple[Name, Stored]], config: Mapping[str, Any]
) -> Update:
    """The update of the kernel at `path`, of this shape. Raises InputError."""
    layer = path.removesuffix(".kernel")
    for role in ("down", "up"):
        if role not in parts:
            raise _refused(file, f"it lacks the factor {role} of {layer}")
    (name, down), (_, up) = parts["down"], parts["up"]
    layout = CONV if len(shape) == 4 else POINTWISE
    product = _product(down.shape, up.shape)
    if not product or not layout.fits(product) or layout.shape(product) != shape:
        factors = f"factors {list(down.shape)} and {list(up.shape)} for {layer}"
        raise _refused(file, f"it is of another model, with {factors}, whose kernel here is {list(shape)}")
    try:
        alpha = float(parts["alpha"][1].read().item()) if "alpha" in parts else None
        return Update(down, up, _factor(config, name, down.shape[0], alpha), layout)
    except (ValueError, TypeError, AttributeError, re.error) as error:
        raise _refused(file, f"its alpha of {layer} is no number") from error


def _product(down: Shape, up: Shape) -> Shape | None:
    """(out, in, y, x) of two factors; None where they are not a pair."""
    down, up = (shape + (1,) * (4 - len(shape)) for shape in (down, up))
    is_pair = len(down) == len(up) == 4 and up[1:] == (down[0], 1, 1) and down[0]
    return (up[0], *down[1:]) if is_pair else None


def _alphas(file: Path) -> dict[str, Any]:
    """peft's configuration in the header of a safetensors file, by network; empty where there is none."""
    if file.suffix != ".safetensors":
        return {}
    try:
        with safe_open(file, "numpy") as opened:
            return dict(json.loads((opened.metadata() or {}).get("lora_adapter_metadata", "{}")))
    except (SafetensorError, ValueError, TypeError) as error:
        raise _refused(file, "its lora_adapter_metadata cannot be read") from error


def _factor(config: Mapping[str, Any], name: Name, rank: int, alpha: float | None) -> float:
    """alpha / rank of a layer: by its own alpha, else by peft's configuration, else 1."""
    if alpha is None:
        patterns = config.get(f"{name.network}.alpha_pattern") or {}
        own = (value for end, value in patterns.items() if re.fullmatch(rf"(.*\.)?({end})", name.layer))
        alpha = next(own, config.get(f"{name.network}.lora_alpha"))
    if alpha is None:
        return 1.0
    return float(alpha) / (rank**0.5 if config.get(f"{name.network}.use_rslora") else rank)
