"""The half of a UNet that a ControlNet repeats: time embedding, down blocks and middle, named as in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.kernels import KeysValues
from rival_jax.models.attention import Attend, Context, Prefix
from rival_jax.models.blocks import BlockSpec, DownBlock, MidBlock, UpBlock
from rival_jax.models.config import DownPathConfig
from rival_jax.models.layers import conv, linear
from rival_jax.shapes import TextEmbedding, Timesteps


def sinusoid(values: jax.Array, width: int, *, flip_sin_to_cos: bool = True, freq_shift: int = 0) -> jax.Array:
    """Sinusoidal embedding (..., width), float32, of values (...), as in DDPM."""
    half = width // 2
    frequencies = jnp.exp(-math.log(10000.0) * jnp.arange(half, dtype=jnp.float32) / (half - freq_shift))
    angles = values.astype(jnp.float32)[..., None] * frequencies.reshape((1,) * values.ndim + (half,))
    halves = [jnp.sin(angles), jnp.cos(angles)]
    return jnp.concatenate(halves[::-1] if flip_sin_to_cos else halves, axis=-1)


class TimestepEmbedding(nnx.Module):
    """Two dense layers on a sinusoid."""

    def __init__(self, in_features: int, width: int, *, dtype, rngs: nnx.Rngs):
        self.linear_1 = linear(in_features, width, dtype=dtype, rngs=rngs)
        self.linear_2 = linear(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.linear_2(nnx.silu(self.linear_1(x)))


class DownPath(nnx.Module):
    """From a noisy latent to the middle; what a subclass adds comes after it."""

    def __init__(self, config: DownPathConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.dtype = dtype
        channels = config.block_out_channels
        self.conv_in = conv(config.in_channels, channels[0], dtype=dtype, rngs=rngs)
        time_width = 4 * channels[0]
        self.time_embedding = TimestepEmbedding(channels[0], time_width, dtype=dtype, rngs=rngs)
        if config.added_width:
            embedding = TimestepEmbedding(config.added_width, time_width, dtype=dtype, rngs=rngs)
            setattr(self, self._added, embedding)

        last = len(channels) - 1
        down = []
        for level, before in enumerate((channels[0], *channels[:-1])):
            spec = self._spec(level, config.transformer_depths[level], config.layers_per_block[level])
            down.append(DownBlock(spec, before, downsample=level < last, dtype=dtype, rngs=rngs))
        self.down_blocks = nnx.data(down)
        self.mid_block = MidBlock(self._spec(last, config.mid_depth, 1), dtype=dtype, rngs=rngs)

    def _spec(self, level: int, depth: int, layers: int) -> BlockSpec:
        config = self.config
        return BlockSpec(
            channels=config.block_out_channels[level],
            layers=layers,
            heads=config.attention_heads[level],
            depth=depth,
            text_width=config.cross_attention_dim,
            time_width=4 * config.block_out_channels[0],
            groups=config.norm_num_groups,
            epsilon=config.norm_eps,
            use_linear_projection=config.use_linear_projection,
        )

    @property
    def _added(self) -> str:
        return "class_embedding" if self.config.class_embed_type else "add_embedding"

    def embed_time(self, timestep_b: Timesteps) -> jax.Array:
        """What the resnets are told of timesteps 0 ... 999, (b, d)."""
        config = self.config
        options = {"flip_sin_to_cos": config.flip_sin_to_cos, "freq_shift": config.freq_shift}
        sines = sinusoid(timestep_b, config.block_out_channels[0], **options)
        return self.time_embedding(sines.astype(self.dtype))

    def embed_added(self, added_ba: jax.Array) -> jax.Array:
        """What is added to that, (b, d), of vectors (b, a); a is the configuration's `added_width`, which must be set.

        With SDXL pooled text and embedded sizes, with Stable unCLIP an embedded picture and noise level.
        """
        return getattr(self, self._added)(added_ba.astype(self.dtype))

    @property
    def blocks(self) -> list[DownBlock | MidBlock | UpBlock]:
        """In the order of use."""
        return [*self.down_blocks, self.mid_block]

    def read(self, text_bmd: TextEmbedding) -> list[KeysValues]:
        """Keys and values (b, m, h, k) of the prompts in every cross-attention layer, in the order of use."""
        text_bmd = text_bmd.astype(self.dtype)
        transformers = [transformer for block in self.blocks for transformer in block.attentions]
        return [block.attn2.kv(text_bmd) for transformer in transformers for block in transformer.transformer_blocks]

    def descend(
        self,
        x_byxc: jax.Array,
        time_bd: jax.Array,
        texts: Iterator[Context],
        attend: Attend,
        prefix: Prefix | None = None,
    ) -> tuple[list[jax.Array], jax.Array]:
        """The skips in the order of making, of which `x_byxc` (behind `conv_in`) is the first, and the middle's output.

        With a `prefix` `x_byxc` has fewer rows than what is returned.
        """
        x, skips, fewer = x_byxc, [x_byxc], prefix
        for block in self.down_blocks:
            x, made = block(x, time_bd, texts, attend, fewer)
            skips += made
            fewer = None if block.attentions else fewer
        middle = self.mid_block(x, time_bd, texts, attend, fewer)
        if prefix:
            skips = [prefix.spread(skip) if len(skip) == len(x_byxc) else skip for skip in skips]
        return skips, middle
