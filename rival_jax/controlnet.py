"""A ControlNet beside a model: variations also follow an image, such as edges or depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rival_jax import checks
from rival_jax.errors import InputError
from rival_jax.models.config import UNetConfig
from rival_jax.models.controlnet import ControlNetConfig
from rival_jax.models.network import Network
from rival_jax.options import DTYPES, DType
from rival_jax.parts import device_dtype
from rival_jax.weights import CONTROLNET, load_state, plan, resolve_network

_ALIKE = (
    "in_channels",
    "block_out_channels",
    "layers_per_block",
    "cross_attention_dim",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
)
"""What a ControlNet must have in common with a UNet; heads and depths may differ."""


@dataclass(frozen=True)
class ControlNet:
    """A ControlNet's network, and where it is from. Made by `from_pretrained`.

    network: its weights, on every device.
    directory: where its files are.

    Source: https://arxiv.org/abs/2302.05543.
    """

    network: Network
    directory: Path

    @classmethod
    def from_pretrained(cls, controlnet: str | Path, dtype: DType | None = None) -> Self:
        """Loads a ControlNet.

        Args:
            controlnet: a directory with config.json and weights, as diffusers writes it, or a hub id.
            dtype: "float32", "bfloat16", "float16", or None for what suits the device, as of the UNet.

        Raises InputError for one that cannot be found or read, before any weight is loaded.
        """
        dtype = device_dtype() if dtype is None else dtype
        checks.choice("dtype", dtype, DTYPES)
        directory = resolve_network("ControlNet", controlnet, CONTROLNET.stem, dtype)
        made = plan(directory, CONTROLNET, dtype)
        return cls(Network(made.graphdef, load_state(made), made.config), directory)

    @property
    def config(self) -> ControlNetConfig:
        """What its config.json says."""
        return self.network.config

    def check_fits(self, unet: UNetConfig) -> None:
        """Raises InputError where it was made for another model than that of `unet` (`pipe.unet.config`)."""
        pairs = [(field, getattr(self.config, field), getattr(unet, field)) for field in _ALIKE]
        differ = [f"its {field} is {own}, the model's {models}" for field, own, models in pairs if own != models]
        if differ:
            raise InputError(f"The ControlNet {self.directory} was made for another model: {'; '.join(differ)}.")
