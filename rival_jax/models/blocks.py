"""The UNet's down, middle and up blocks. A block without attention simply has no `attentions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.attention import Attend, Context, Prefix, Transformer2D
from rival_jax.models.layers import Downsample, ResnetBlock, Upsample

Inject = Callable[[jax.Array], jax.Array]
"""Features (b, y, x, c) in place of others."""


@dataclass(frozen=True)
class BlockSpec:
    """What one level of the UNet is made of, for its resnets and its transformers."""

    channels: int
    layers: int
    heads: int
    depth: int
    """Transformer blocks after each resnet; 0 where the level has no attention."""
    text_width: int
    time_width: int
    groups: int
    epsilon: float
    use_linear_projection: bool

    def resnet(self, in_channels: int, *, dtype, rngs: nnx.Rngs) -> ResnetBlock:
        options = {"time_width": self.time_width, "groups": self.groups, "epsilon": self.epsilon}
        return ResnetBlock(in_channels, self.channels, **options, dtype=dtype, rngs=rngs)

    def transformers(self, count: int, *, dtype, rngs: nnx.Rngs):
        """`count` transformers, or none where the level has no attention."""
        options = {"groups": self.groups, "use_linear_projection": self.use_linear_projection}
        return nnx.data(
            [
                Transformer2D(self.channels, self.heads, self.depth, self.text_width, **options, dtype=dtype, rngs=rngs)
                for _ in range(count if self.depth else 0)
            ]
        )


class DownBlock(nnx.Module):
    """`CrossAttnDownBlock2D` and `DownBlock2D`."""

    def __init__(self, spec: BlockSpec, in_channels: int, *, downsample: bool, dtype, rngs: nnx.Rngs):
        inputs = [in_channels] + [spec.channels] * (spec.layers - 1)
        self.resnets = nnx.data([spec.resnet(channels, dtype=dtype, rngs=rngs) for channels in inputs])
        self.attentions = spec.transformers(spec.layers, dtype=dtype, rngs=rngs)
        samplers = [Downsample(spec.channels, dtype=dtype, rngs=rngs)] if downsample else []
        self.downsamplers = nnx.data(samplers)

    def __call__(
        self,
        x: jax.Array,
        time_bd: jax.Array,
        texts: Iterator[Context],
        attend: Attend,
        prefix: Prefix | None = None,
    ):
        """Returns the image and what the up path will meet again, in order of making.

        With a `prefix`, what is made before the block's first cross-attention has fewer rows.
        """
        skips = []
        for index, resnet in enumerate(self.resnets):
            x = resnet(x, time_bd)
            if self.attentions:
                x = self.attentions[index](x, texts, attend, prefix if index == 0 else None)
            skips.append(x)
        for downsampler in self.downsamplers:
            x = downsampler(x)
            skips.append(x)
        return x, skips


class MidBlock(nnx.Module):
    """`UNetMidBlock2DCrossAttn`: resnet, transformer, resnet."""

    def __init__(self, spec: BlockSpec, *, dtype, rngs: nnx.Rngs):
        self.resnets = nnx.data([spec.resnet(spec.channels, dtype=dtype, rngs=rngs) for _ in range(2)])
        self.attentions = spec.transformers(1, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x: jax.Array,
        time_bd: jax.Array,
        texts: Iterator[Context],
        attend: Attend,
        prefix: Prefix | None = None,
    ) -> jax.Array:
        x = self.resnets[0](x, time_bd)
        x = self.attentions[0](x, texts, attend, prefix)
        return self.resnets[1](x, time_bd)


class UpBlock(nnx.Module):
    """`CrossAttnUpBlock2D` and `UpBlock2D`: each resnet takes a skip of the down path beside its input."""

    def __init__(
        self, spec: BlockSpec, in_channels: int, skip_channels: list[int], *, upsample: bool, dtype, rngs: nnx.Rngs
    ):
        inputs = [in_channels] + [spec.channels] * (spec.layers - 1)
        self.resnets = nnx.data(
            [
                spec.resnet(channels + skip, dtype=dtype, rngs=rngs)
                for channels, skip in zip(inputs, skip_channels, strict=True)
            ]
        )
        self.attentions = spec.transformers(spec.layers, dtype=dtype, rngs=rngs)
        self.upsamplers = nnx.data([Upsample(spec.channels, dtype=dtype, rngs=rngs)] if upsample else [])

    def __call__(
        self,
        x: jax.Array,
        skips: list[jax.Array],
        time_bd: jax.Array,
        texts: Iterator[Context],
        attend: Attend,
        inject: Inject | None = None,
    ) -> jax.Array:
        """`skips` is the down path's whole list; the block takes its own from the end.

        inject: what is put in place of the second resnet's features.
        """
        for index, resnet in enumerate(self.resnets):
            x = resnet(jnp.concatenate([x, skips.pop()], axis=-1), time_bd, inject if index == 1 else None)
            if self.attentions:
                x = self.attentions[index](x, texts, attend)
        for upsampler in self.upsamplers:
            x = upsampler(x)
        return x
