"""LPIPS: the distance of two pictures in the features of a network that was trained to classify, weighted by people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.layers import conv, linear

_EPSILON = 1e-10
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""From pixels in [-1, 1] to what the trunks were trained on: the `lpips` package's scaling layer."""


@dataclass(frozen=True)
class Convolution:
    """The channels that it makes; width, step and padding of its window. A ReLU follows."""

    channels: int
    size: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Stage:
    """Max pooling with a window of this width and step 2, where there is one, then convolutions, the last one tapped.

    `first` is the number of the first convolution in torchvision's `features`, where every ReLU has its own too.
    """

    first: int
    convolutions: tuple[Convolution, ...]
    pool: int | None = None

    @property
    def numbered(self) -> tuple[tuple[int, Convolution], ...]:
        """The convolutions, each with its number."""
        return tuple((self.first + 2 * place, each) for place, each in enumerate(self.convolutions))


@dataclass(frozen=True)
class Trunk:
    """A network's convolutions, up to the last tap."""

    stages: tuple[Stage, ...]

    @property
    def smallest(self) -> int:
        """Pixels that a side needs, so that a pixel is left at the last tap."""
        size = 1
        for stage in reversed(self.stages):
            for each in reversed(stage.convolutions):
                size = max(1, (size - 1) * each.stride + each.size - 2 * each.padding)
            if stage.pool:
                size = (size - 1) * 2 + stage.pool
        return size


VGG16 = Trunk(
    (
        Stage(0, (Convolution(64),) * 2),
        Stage(5, (Convolution(128),) * 2, pool=2),
        Stage(10, (Convolution(256),) * 3, pool=2),
        Stage(17, (Convolution(512),) * 3, pool=2),
        Stage(24, (Convolution(512),) * 3, pool=2),
    )
)
ALEXNET = Trunk(
    (
        Stage(0, (Convolution(64, size=11, stride=4, padding=2),)),
        Stage(3, (Convolution(192, size=5, padding=2),), pool=3),
        Stage(6, (Convolution(384),), pool=3),
        Stage(8, (Convolution(256),)),
        Stage(10, (Convolution(256),)),
    )
)


class LPIPSNetwork(nnx.Module):
    """A trunk, tapped after each stage, and a head a tap: how much each of its channels counts."""

    def __init__(self, config: Trunk, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        options = {"dtype": dtype, "rngs": rngs}
        features, heads, width = {}, [], 3
        for stage in config.stages:
            for number, each in stage.numbered:
                window = {"stride": each.stride, "padding": ((each.padding, each.padding),) * 2}
                features[number] = conv(width, each.channels, each.size, **window, **options)
                width = each.channels
            heads.append(linear(width, 1, use_bias=False, **options))
        self.features, self.heads = nnx.data(features), nnx.data(heads)

    def taps(self, pixels: jax.Array) -> Iterator[jax.Array]:
        """What each stage makes (b, y, x, c) of pixels (b, H, W, 3) in [-1, 1]."""
        x = (pixels - jnp.asarray(_SHIFT).reshape(1, 1, 1, 3)) / jnp.asarray(_SCALE).reshape(1, 1, 1, 3)
        for stage in self.config.stages:
            if stage.pool:
                x = nnx.max_pool(x, (stage.pool, stage.pool), strides=(2, 2))
            for number, _ in stage.numbered:
                x = nnx.relu(self.features[number](x))
            yield x

    def __call__(self, images: jax.Array, others: jax.Array) -> jax.Array:
        """Distances (b,), 0 or more, of pixels (b, H, W, 3) in [-1, 1], both sides at least `config.smallest`.

        Source: https://arxiv.org/abs/1801.03924, equation 1.
        """
        taps = self.taps(jnp.concatenate([images, others]))
        of_stages = [_distance(head, tap) for head, tap in zip(self.heads, taps, strict=True)]
        return jnp.stack(of_stages).sum(axis=0)


def _distance(head: nnx.Linear, tap: jax.Array) -> jax.Array:
    """(b,) between the first half of (2 b, y, x, c) and the second."""
    images, others = jnp.split(tap / (jnp.linalg.norm(tap, axis=-1, keepdims=True) + _EPSILON), 2)
    return head((images - others) ** 2).mean(axis=(1, 2, 3))
