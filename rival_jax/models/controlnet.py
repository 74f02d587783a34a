"""The network of a ControlNet: what an image adds to a UNet's skips and to its middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.attention import Attend, Context, Prefix, plain
from rival_jax.models.config import (
    DOWN_PATH_ACCEPTED,
    DOWN_PATH_KNOWN,
    DownPathConfig,
    accept,
    read_down_path,
    required_list,
)
from rival_jax.models.down_path import DownPath
from rival_jax.models.layers import conv
from rival_jax.models.unet import Residuals

_KNOWN = {"conditioning_embedding_out_channels", "controlnet_conditioning_channel_order"}
_ACCEPTED = {"conditioning_channels": (3,)}


@dataclass(frozen=True, kw_only=True)
class ControlNetConfig(DownPathConfig):
    """A `ControlNetModel`, of SD 1.x and 2.x or SDXL."""

    conditioning_embedding_out_channels: tuple[int, ...]
    """Widths of the layers that read the image, the finest first."""
    controlnet_conditioning_channel_order: Literal["rgb", "bgr"] = "rgb"

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> ControlNetConfig:
        """Reads a ControlNet's `config.json`. Raises InputError that names what is unsupported or missing."""
        owner = "ControlNet"
        accept(owner, config, DOWN_PATH_ACCEPTED | _ACCEPTED, DOWN_PATH_KNOWN | _KNOWN)
        order, widths = "controlnet_conditioning_channel_order", "conditioning_embedding_out_channels"
        own = {order: config.get(order, "rgb"), widths: required_list(owner, config, widths)}
        return read_down_path(cls, owner, config, own)

    @property
    def image_factor(self) -> int:
        """Pixels a cell of the latents is wide: the factor of the VAE it was made for."""
        return 2 ** (len(self.conditioning_embedding_out_channels) - 1)


class ConditioningEmbedding(nnx.Module):
    """`ControlNetConditioningEmbedding`: an image to the size and width of the UNet's finest level."""

    def __init__(self, channels: tuple[int, ...], out_channels: int, *, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.conv_in = conv(3, channels[0], **options)
        pairs = [
            (conv(before, before, **options), conv(before, after, stride=2, **options))
            for before, after in pairwise(channels)
        ]
        self.blocks = nnx.data([block for pair in pairs for block in pair])
        self.conv_out = conv(channels[-1], out_channels, **options)

    def __call__(self, image_byxc: jax.Array) -> jax.Array:
        x = nnx.silu(self.conv_in(image_byxc))
        for block in self.blocks:
            x = nnx.silu(block(x))
        return self.conv_out(x)


class ControlNet(DownPath):
    """`ControlNetModel`: a UNet's down path and middle that also sees an image.

    Each output passes a convolution of one pixel, which training starts at zero.
    """

    def __init__(self, config: ControlNetConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        super().__init__(config, dtype=dtype, rngs=rngs)
        options = {"dtype": dtype, "rngs": rngs}
        channels = config.block_out_channels
        self.is_bgr = config.controlnet_conditioning_channel_order == "bgr"
        self.controlnet_cond_embedding = ConditioningEmbedding(
            config.conditioning_embedding_out_channels, channels[0], **options
        )
        self.controlnet_down_blocks = nnx.data([conv(width, width, 1, **options) for width in config.skip_channels])
        self.controlnet_mid_block = conv(channels[-1], channels[-1], 1, **options)

    def embed_condition(self, image_byxc: jax.Array) -> jax.Array:
        """What the down path is told of images (b, Y, X, 3), RGB in 0 ... 1: (b, y, x, c), as large as latents."""
        image_byxc = image_byxc[..., ::-1] if self.is_bgr else image_byxc
        return self.controlnet_cond_embedding(image_byxc.astype(self.dtype))

    def predict(
        self,
        x_byxc: jax.Array,
        time_bd: jax.Array,
        texts: Sequence[Context],
        condition_byxc: jax.Array,
        *,
        attend: Attend = plain,
        prefix: Prefix | None = None,
    ) -> Residuals:
        """What is added to the UNet's skips, in the order of their making, and to its middle's output, unscaled.

        Args:
            x_byxc, time_bd, texts, attend, prefix: as in `UNet.predict`; time and texts by this network's own
                `embed_time` and `read`.
            condition_byxc: what `embed_condition` returned, one a row of the latents or one for all.
        """
        x = self.conv_in(x_byxc.astype(self.dtype)) + condition_byxc.astype(self.dtype)
        skips, middle = self.descend(x, time_bd.astype(self.dtype), iter(texts), attend, prefix)
        outputs = [layer(skip) for layer, skip in zip(self.controlnet_down_blocks, skips, strict=True)]
        return outputs, self.controlnet_mid_block(middle)
