"""A Stable Diffusion checkpoint as a whole, checked before any weight is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import jax
from flax import nnx

from rival_jax import checks
from rival_jax.cache import keep_programs
from rival_jax.errors import InputError
from rival_jax.models.clip_config import TextConfig
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.models.network import Network
from rival_jax.options import DTYPES, Backend, DType
from rival_jax.safety import SafetyChecker
from rival_jax.schedule import Schedule
from rival_jax.shapes import TextEmbedding
from rival_jax.text import Tokenizer, embed
from rival_jax.weights import (
    SAFETY_CHECKER,
    TEXT_ENCODER,
    UNET,
    VAE,
    Part,
    Plan,
    load_state,
    lora,
    plan,
    resolve,
    textual_inversion,
    zeros,
)
from rival_jax.weights.files import read_json
from rival_jax.weights.single_file import is_single_file, open_file


@dataclass(frozen=True)
class StableDiffusion:
    """A checkpoint's networks, tokenizer and schedule. Made by `from_pretrained`."""

    unet: Network
    vae: Network
    text_encoder: Network
    tokenizer: Tokenizer
    schedule: Schedule
    directory: Path
    dtype: str
    attention: Backend | None
    plans: tuple[Plan, ...] = field(repr=False)
    """Of the UNet, the VAE and the text encoder: where their weights are."""
    stands_in: bool = False
    """Only to have programs compiled: each runs once, and pictures are of nothing."""
    safety_checker: SafetyChecker | None = None
    """Of the pictures; None where the checkpoint has none."""

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "tiny",
        dtype: DType | None = None,
        attention: Backend | None = None,
        weights: bool = True,
        config: str | Path | None = None,
    ) -> Self:
        """Loads a model. Programs that it compiles are kept for later starts (`rival_jax.cache` says where).

        Args:
            model: "tiny" (the embedded model), a directory in the diffusers layout, a hub id, or one file in the
                layout of the authors' code (`.safetensors`, or a pickle of tensors: `.ckpt`, `.pt`, `.bin`).
            dtype: of the UNet and the text encoder: "float32" (full-precision matrix products too), "bfloat16",
                "float16", or None for what suits the device. The VAE is always float32.
            attention: the kernel of the UNet's attention, "dense", "cudnn", "chunked" or "pallas"; None chooses by
                device, dtype and shape, as `rival_jax.kernels.choose` says.
            weights: False leaves all weights zero until `load`, which is enough to `warmup`. The safety checker's are
                always read when they are first needed.
            config: of a model in one file, which holds weights only: a directory in the diffusers layout or a hub id,
                whose configs, tokenizer and scheduler config are read; None is SD 1.5, SD 2.1 (v-prediction) or SDXL,
                as the file's tensors say.

        Raises InputError for a model that cannot be found or read, before any weight is loaded.
        """
        dtype = device_dtype() if dtype is None else dtype
        directory, schedule, parts = plans(model, dtype, config)
        if attention is not None:
            checks.attention(attention, dtype, parts[0].config)
        tokenizer = Tokenizer.from_pretrained(directory / "tokenizer", parts[-1].config)
        checker = None if one_file(parts) else SafetyChecker.from_pretrained(directory)
        keep_programs()
        networks = _networks(parts, load_state if weights else zeros)
        return cls(*networks, tokenizer, schedule, directory, dtype, attention, parts, not weights, checker)

    @classmethod
    def structure(
        cls, model: str | Path = "tiny", dtype: DType | None = None, config: str | Path | None = None
    ) -> Self:
        """A model with shapes in place of its weights, enough to count what a run would take. Raises InputError too."""
        dtype = device_dtype() if dtype is None else dtype
        directory, schedule, parts = plans(model, dtype, config)
        tokenizer = Tokenizer.from_pretrained(directory / "tokenizer", parts[-1].config)
        return cls(*_networks(parts, lambda part: part.state), tokenizer, schedule, directory, dtype, None, parts, True)

    def load(self) -> Self:
        """The same with its weights, where it was made without."""
        unet, vae, text_encoder = _networks(self.plans, load_state)
        return replace(self, unet=unet, vae=vae, text_encoder=text_encoder, stands_in=False)

    def load_lora_weights(self, paths: str | Path | Sequence[str | Path], scale: float | Sequence[float] = 1.0) -> Self:
        """The same with LoRA files merged into the UNet and the text encoder: W + scale * alpha / rank * up @ down.

        Args:
            paths: one file or several, in diffusers' (peft's) or kohya's layout.
            scale: one for all files, or one a file; 0 changes nothing.

        Raises InputError for a file that cannot be read or does not fit the model, before anything is merged.
        Source: LoRA, Eq. 3 (arXiv 2106.09685).
        """
        self._check_weights()
        files = [paths] if isinstance(paths, str | Path) else paths
        scales = checks.scales(scale, len(files))
        networks = {"unet": self.unet, "text_encoder": self.text_encoder}
        merged = lora.merge(networks, list(zip((Path(file).expanduser() for file in files), scales, strict=True)))
        return replace(self, **merged)

    def load_textual_inversion(self, path: str | Path, token: str | None = None) -> Self:
        """The same with one token more, whose vectors are those of a textual inversion file.

        Args:
            path: a file of diffusers' or AUTOMATIC1111's.
            token: what stands for the concept in prompts; None is the file's own token, or else its stem.

        Raises InputError for a file that cannot be read or is of another model, and for a token that is known already.
        Source: Textual Inversion, section 4 (arXiv 2208.01618).
        """
        self._check_weights()
        file = Path(path).expanduser()
        own, vectors = textual_inversion.read(file, self.text_encoder.config.hidden_size)
        try:
            tokenizer = self.tokenizer.with_token(own if token is None else token, len(vectors))
        except InputError as error:
            raise InputError(f"The textual inversion {file} cannot be loaded: {error}") from error
        text_encoder = textual_inversion.with_vectors(self.text_encoder, len(self.tokenizer.tokenizer), vectors)
        return replace(self, text_encoder=text_encoder, tokenizer=tokenizer)

    def _check_weights(self) -> None:
        if self.stands_in:
            raise InputError("The pipeline was made without weights, so none can be changed; call `load` first.")

    @property
    def file(self) -> Path | None:
        """The one file that holds all weights; None where they lie in `directory`."""
        return one_file(self.plans)

    @property
    def source(self) -> dict[str, str]:
        """What `from_pretrained` is told to read the same files again: model, and config where that is needed."""
        return {"model": str(self.file), "config": str(self.directory)} if self.file else {"model": str(self.directory)}

    @property
    def size(self) -> int:
        """The model's own picture size, in pixels."""
        return self.unet.config.sample_size * self.vae.config.factor

    @property
    def factor(self) -> int:
        """Heights and widths are multiples of this many pixels."""
        return self.unet.config.factor * self.vae.config.factor

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(h, w, c) of the latents of pictures of these sides, in pixels."""
        factor = self.vae.config.factor
        return height // factor, width // factor, self.unet.config.in_channels

    def precision(self) -> AbstractContextManager:
        """Of float32 matrix products where a device would round their inputs: "float32" means all of their digits.

        With 16-bit networks, what is float32 beside them may be rounded to ten bits and more, as pictures have eight.
        """
        return jax.default_matmul_precision("highest" if self.dtype == "float32" else "high")

    def embed(self, prompts: tuple[str, ...]) -> TextEmbedding:
        """Last hidden states (b, m, d) of the text encoder."""
        return embed(self.text_encoder, self.tokenizer(prompts))


def _networks(parts: tuple[Plan, ...], read: Callable[[Plan], nnx.State]) -> tuple[Network, Network, Network]:
    unet, vae, text_encoder = (Network(part.graphdef, read(part), part.config) for part in parts)
    return unet, vae, text_encoder


def plans(model: str | Path, dtype: DType, config: str | Path | None = None) -> tuple[Path, Schedule, tuple[Plan, ...]]:
    """A model's directory, its schedule and its networks (UNet, VAE, text encoder), checked but not read.

    Of a model in one file the directory is that of its configs. Raises InputError for a model that cannot be found or
    does not fit its own configs.
    """
    checks.choice("dtype", dtype, DTYPES)
    wanted: dict[Part, DType] = {UNET: dtype, VAE: "float32", TEXT_ENCODER: dtype}
    fetched = wanted | {SAFETY_CHECKER: "float32"}
    single = open_file(model) if is_single_file(model) else None
    if single:
        directory = single.configs(config)
    elif config is not None:
        raise InputError(f"config ({config}) is of a model in one file, but {model} is none: it has its own configs.")
    else:
        directory = resolve(model, {part.folder: part_dtype for part, part_dtype in fetched.items()})
    schedule = Schedule.from_dict(read_json(directory / "scheduler" / "scheduler_config.json"))
    made = tuple(plan(directory, part, part_dtype, single) for part, part_dtype in wanted.items())
    _check_fit(*(network.config for network in made))
    return directory, schedule, made


def one_file(parts: tuple[Plan, ...]) -> Path | None:
    """The file that holds the weights of all networks; None where each has its own."""
    files = {file for part in parts for file in part.files}
    return files.pop() if len(files) == 1 else None


def _check_fit(unet: UNetConfig, vae: VAEConfig, text: TextConfig) -> None:
    """Raises InputError for networks that do not work together as in Stable Diffusion 1.x and 2.x."""
    if unet.addition_time_embed_dim:
        raise InputError("The model's UNet wants added text and size embeddings: SDXL models are not supported yet.")
    if not unet.in_channels == unet.out_channels == vae.latent_channels:
        raise InputError(
            f"The model's UNet reads {unet.in_channels} and gives {unet.out_channels} channels, but its VAE's latents "
            f"have {vae.latent_channels}: inpainting models and the like are not supported."
        )
    if unet.cross_attention_dim != text.hidden_size:
        raise InputError(
            f"The model's UNet reads prompts of width {unet.cross_attention_dim}, but its text encoder gives "
            f"{text.hidden_size}: they are of different models."
        )


def device_dtype() -> DType:
    """bfloat16 on TPUs and NVIDIA GPUs since Ampere, float16 on older GPUs, float32 on CPUs."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return "float32"
    capability = str(getattr(device, "compute_capability", ""))  # NVIDIA's are numbers
    if device.platform == "gpu" and re.fullmatch(r"[\d.]+", capability) and float(capability) < 8.0:
        return "float16"
    return "bfloat16"
