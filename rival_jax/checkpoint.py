"""A Stable Diffusion checkpoint as a whole, checked before any weight is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import jax
from flax import nnx

from rival_jax import checks
from rival_jax.cache import keep_programs
from rival_jax.conditioning import Conditioner, Conditioning, PictureReader, Shown, TextReader
from rival_jax.errors import InputError
from rival_jax.metrics.pictures import Normalisation
from rival_jax.models.network import Network
from rival_jax.options import Backend, DType
from rival_jax.parts import device_dtype, noising, one_file, plans
from rival_jax.safety import SafetyChecker
from rival_jax.schedule import Schedule
from rival_jax.text import Tokenizer
from rival_jax.weights import Plan, load_state, lora, textual_inversion, zeros
from rival_jax.weights.files import FEATURE_EXTRACTOR, TEXT_ENCODERS, read_json


@dataclass(frozen=True)
class StableDiffusion:
    """A checkpoint's networks, what makes its conditioning, and its schedule. Made by `from_pretrained`."""

    unet: Network
    """Predicts noise, or v."""
    vae: Network
    """Between pictures and latents; always float32."""
    conditioner: Conditioner
    """Embeds prompts, and pictures where the model sees some."""
    schedule: Schedule
    """Its noise levels."""
    directory: Path
    """Where its configs are."""
    dtype: str
    """Of the UNet and the encoders: "float32", "bfloat16" or "float16"."""
    attention: Backend | None
    """The kernel of the UNet's attention; None chooses by device, dtype and shape."""
    plans: Mapping[str, Plan] = field(repr=False)
    """Of its networks, by their folders: where their weights are."""
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
            checks.attention(attention, dtype, parts["unet"].config)
        tokenizers = _tokenizers(directory, parts)
        checker = None if one_file(parts) else SafetyChecker.from_pretrained(directory)
        keep_programs()
        networks = _networks(parts, load_state if weights else zeros)
        conditioner = _conditioner(directory, networks, tokenizers)
        own = networks["unet"], networks["vae"], conditioner
        return cls(*own, schedule, directory, dtype, attention, parts, not weights, checker)

    @classmethod
    def structure(
        cls, model: str | Path = "tiny", dtype: DType | None = None, config: str | Path | None = None
    ) -> Self:
        """A model with shapes in place of its weights, enough to count what a run would take.

        Args:
            model, dtype, config: as for `from_pretrained`.

        Raises InputError as `from_pretrained` does.
        """
        dtype = device_dtype() if dtype is None else dtype
        directory, schedule, parts = plans(model, dtype, config)
        networks = _networks(parts, lambda part: part.state)
        conditioner = _conditioner(directory, networks, _tokenizers(directory, parts))
        return cls(networks["unet"], networks["vae"], conditioner, schedule, directory, dtype, None, parts, True)

    def load(self) -> Self:
        """The same with its weights, where it was made without."""
        networks = _networks(self.plans, load_state)
        conditioner = self.conditioner.with_networks(networks)
        return replace(self, unet=networks["unet"], vae=networks["vae"], conditioner=conditioner, stands_in=False)

    def load_lora_weights(self, paths: str | Path | Sequence[str | Path], scale: float | Sequence[float] = 1.0) -> Self:
        """The same with LoRA files merged into the UNet and the text encoders: W + scale * alpha / rank * up @ down.

        Args:
            paths: one file or several, in diffusers' (peft's) or kohya's layout.
            scale: any finite number; one for all files, or one a file. 0 changes nothing.

        Raises InputError for a file that cannot be read or does not fit the model, before anything is merged.
        Source: LoRA, Eq. 3 (arXiv 2106.09685).
        """
        self._check_weights()
        files = [paths] if isinstance(paths, str | Path) else paths
        scales = checks.scales(scale, len(files))
        networks = {"unet": self.unet} | self.conditioner.networks
        merged = lora.merge(networks, list(zip((Path(file).expanduser() for file in files), scales, strict=True)))
        return replace(self, unet=merged["unet"], conditioner=self.conditioner.with_networks(merged))

    def load_textual_inversion(self, path: str | Path, token: str | None = None) -> Self:
        """The same with one token more, whose vectors are those of a textual inversion file.

        Args:
            path: a file of diffusers' or AUTOMATIC1111's.
            token: what stands for the concept in prompts; None is the file's own token, or else its stem.

        Raises InputError for a file that cannot be read or is of another model, and for a token that is known already.
        Source: Textual Inversion, section 4 (arXiv 2208.01618).
        """
        self._check_weights()
        file, _ = Path(path).expanduser(), self.conditioner.first  # which says so where there is none
        widths = [reader.encoder.config.hidden_size for reader in self.conditioner.texts]
        own, found = textual_inversion.read(file, widths)
        try:
            conditioner = self.conditioner.with_token(own if token is None else token, found)
        except InputError as error:
            raise InputError(f"The textual inversion {file} cannot be loaded: {error}") from error
        return replace(self, conditioner=conditioner)

    def _check_weights(self) -> None:
        if self.stands_in:
            raise InputError("The pipeline was made without weights, so none can be changed; call `load` first.")

    @property
    def text_encoder(self) -> Network:
        """The (first) text encoder. Raises InputError where the model has none."""
        return self.conditioner.first.encoder

    @property
    def tokenizer(self) -> Tokenizer:
        """The (first) text encoder's. Raises InputError where the model has none."""
        return self.conditioner.first.tokenizer

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
        """(h, w, c) of the latents of pictures of `height` x `width` pixels, multiples of `factor`."""
        factor = self.vae.config.factor
        return height // factor, width // factor, self.unet.config.in_channels

    @property
    def text_shape(self) -> tuple[int, int]:
        """(m, d) of what cross-attention reads of a prompt."""
        return self.conditioner.length, self.unet.config.cross_attention_dim

    def precision(self) -> AbstractContextManager:
        """Of float32 matrix products where a device would round their inputs: "float32" means all of their digits.

        With 16-bit networks, what is float32 beside them may be rounded to ten bits and more, as pictures have eight.
        """
        return jax.default_matmul_precision("highest" if self.dtype == "float32" else "high")

    def embed(self, prompts: tuple[str, ...], size: tuple[int, int], shown: Shown | None = None) -> Conditioning:
        """What the networks are told of e prompts, and of pictures where the model sees some.

        Args:
            prompts: e of them.
            size: (height, width) of what is drawn, in pixels.
            shown: e pictures, for models that see some; None is the negative of what shows any.
        """
        return self.conditioner(prompts, size, shown)


def _networks(parts: Mapping[str, Plan], read: Callable[[Plan], nnx.State]) -> dict[str, Network]:
    return {name: Network(part.graphdef, read(part), part.config) for name, part in parts.items()}


def _tokenizers(directory: Path, parts: Mapping[str, Plan]) -> dict[str, Tokenizer]:
    """Of each text encoder, by that's name. Raises InputError for one that cannot be read."""
    return {
        name: Tokenizer.from_pretrained(directory / folder, parts[name].config)
        for name, folder in TEXT_ENCODERS.items()
        if name in parts
    }


def _conditioner(directory: Path, networks: Mapping[str, Network], tokenizers: Mapping[str, Tokenizer]) -> Conditioner:
    """What makes the model's conditioning. Raises InputError for what cannot be read."""
    texts = tuple(TextReader(networks[name], tokenizer) for name, tokenizer in tokenizers.items())
    pictures = None
    if encoder := networks.get("image_encoder"):
        normalisation = Normalisation.from_pretrained(directory / FEATURE_EXTRACTOR)
        pictures = PictureReader(encoder, normalisation, noising(directory, encoder.config.projection_dim))
    index = read_json(directory / "model_index.json")
    size_width = networks["unet"].config.addition_time_embed_dim
    return Conditioner(texts, pictures, size_width, bool(index.get("force_zeros_for_empty_prompt", size_width)))
