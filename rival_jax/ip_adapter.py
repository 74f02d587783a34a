"""An IP-Adapter beside a model: cross-attention also reads pictures, as tokens of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax import checks
from rival_jax.errors import InputError
from rival_jax.metrics.pictures import OF_CLIP
from rival_jax.models.config import UNetConfig
from rival_jax.models.ip_adapter_config import IPAdapterConfig, ResamplerConfig
from rival_jax.models.network import Network
from rival_jax.options import DTYPES, DType
from rival_jax.parts import device_dtype
from rival_jax.shapes import Pixels
from rival_jax.weights import IMAGE_ENCODER, load_state, plan, plan_adapter, resolve_network


@dataclass(frozen=True)
class IPAdapter:
    """An IP-Adapter's network, the image encoder it sees with, and where it is from. Made by `from_pretrained`.

    Pictures are seen, then projected to tokens, and a pipeline may mix what is seen of several in between.

    network: what projects, and each cross-attention layer's keys and values of tokens.
    encoder: the CLIP that sees.
    file: the adapter's own.

    Source: https://arxiv.org/abs/2308.06721.
    """

    network: Network
    encoder: Network
    file: Path

    @classmethod
    def from_pretrained(
        cls,
        adapter: str | Path,
        unet: UNetConfig,
        image_encoder: str | Path | None = None,
        dtype: DType | None = None,
    ) -> Self:
        """Loads an IP-Adapter for a model.

        Args:
            adapter: a file as it is published, global ("ip-adapter_sd15") or plus ("ip-adapter-plus_sd15",
                "ip_plus_composition_sd15"), of SD 1.x, 2.x or SDXL: `.safetensors`, or a pickle of tensors (`.bin`).
            unet: the configuration of the model's UNet (`pipe.unet.config`).
            image_encoder: the CLIP that it was trained with: a directory with config.json and weights, as transformers
                writes it, or a hub id; None is `image_encoder` beside the file.
            dtype: "float32", "bfloat16", "float16", or None for what suits the device, as of the UNet.

        Raises InputError for one that cannot be found or read, that was made for another model or another image
        encoder, before any weight is loaded.
        """
        dtype = device_dtype() if dtype is None else dtype
        checks.choice("dtype", dtype, DTYPES)
        file = Path(adapter).expanduser().absolute()
        made = plan_adapter(file, unet, dtype)
        wanted = file.parent / IMAGE_ENCODER.folder if image_encoder is None else image_encoder
        directory = resolve_network("image encoder", wanted, IMAGE_ENCODER.stem, dtype)
        seeing = plan(directory, replace(IMAGE_ENCODER, folder=""), dtype)
        read, given = made.config.projection, seeing.config
        width = given.hidden_size if isinstance(read, ResamplerConfig) else given.projection_dim
        if read.image_width != width:
            raise InputError(
                f"The IP-Adapter {file} reads pictures of width {read.image_width}, but the image encoder {directory} "
                f"gives {width}: it was trained with another one."
            )
        network, encoder = (Network(part.graphdef, load_state(part), part.config) for part in (made, seeing))
        return cls(network, encoder, file)

    @property
    def config(self) -> IPAdapterConfig:
        """What its tensors say."""
        return self.network.config

    def see(self, pixels: Pixels) -> jax.Array:
        """What the image encoder gives of `pixels` (e, H, W, 3) uint8, float32: what `project` takes.

        Embeddings (e, d), with a plus adapter the last hidden states but one (e, s, d).
        """
        return _see(self.encoder, OF_CLIP(pixels, self.encoder.config.image_size), self._is_plus)

    def see_nothing(self) -> jax.Array:
        """What is seen of no picture, (1, d) or (1, s, d): of an adapter's zero image.

        Source: the authors' code; zeros in place of an embedding, or the hidden states of normalised pixels of zeros.
        """
        if not self._is_plus:
            return jnp.zeros((1, self.config.projection.image_width))
        size = self.encoder.config.image_size
        return _see(self.encoder, np.zeros((1, size, size, 3), np.float32), True)

    def project(self, seen: jax.Array) -> jax.Array:
        """Tokens (e, m, d) of pictures, in the network's dtype, by what was `seen` of them, (e, d) or (e, s, d)."""
        return _project(self.network, seen)

    def embed(self, pixels: Pixels) -> jax.Array:
        """Tokens (e, m, d) of `pixels` (e, H, W, 3) uint8."""
        return self.project(self.see(pixels))

    def negative(self, count: int) -> jax.Array:
        """Tokens (e, m, d) of no picture, for the rows of negative prompts; e is `count`."""
        return jnp.repeat(self.project(self.see_nothing()), count, axis=0)

    @property
    def _is_plus(self) -> bool:
        return isinstance(self.config.projection, ResamplerConfig)


@partial(jax.jit, static_argnums=2)
def _see(encoder: Network, pixels: np.ndarray, is_plus: bool) -> jax.Array:
    module = encoder.module()
    return (module.vision_model.penultimate(pixels) if is_plus else module(pixels)).astype(jnp.float32)


@jax.jit
def _project(network: Network, seen: jax.Array) -> jax.Array:
    return network.module().project(seen)
