"""A classifier of the embedded model's world: which thing, of which colour, a picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rival_jax.metrics.pictures import in_batches, resized
from rival_jax.models.layers import Downsample, GroupNorm, ResnetBlock, conv, linear
from rival_jax.models.network import Network
from rival_jax.weights import Part, load_state, plan
from rival_jax.weights.sd_keys import CLASSIFIER

EMBEDDED = Path(__file__).parent.parent / "assets" / "recogniser"
_GROUPS, _EPSILON = 8, 1e-6


@dataclass(frozen=True)
class ClassifierConfig:
    """Side of the pictures in pixels, channels of the levels, and the names of what is told apart."""

    sample_size: int
    block_out_channels: tuple[int, ...]
    objects: tuple[str, ...]
    colours: tuple[str, ...]

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> ClassifierConfig:
        """Reads config.json."""
        rows = (tuple(config[name]) for name in ("block_out_channels", "objects", "colours"))
        return cls(int(config["sample_size"]), *rows)


class Classifier(nnx.Module):
    """Convolutions, each level at half the size of the one before; then the mean, and a dense layer a question."""

    def __init__(self, config: ClassifierConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        first, *_, last = channels = config.block_out_channels
        self.conv_in = conv(3, first, 5, stride=2, **options)
        widths = list(zip((first, *channels), channels, strict=False))
        self.downsamplers = nnx.data([Downsample(width, **options) for width, _ in widths])
        self.resnets = nnx.data(
            [ResnetBlock(a, b, groups=_GROUPS, epsilon=_EPSILON, **options) for a, b in widths],
        )
        self.conv_norm_out = GroupNorm(last, _GROUPS, _EPSILON, **options)
        self.objects = linear(last, len(config.objects), **options)
        self.colours = linear(last, len(config.colours), **options)

    def __call__(self, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Logits (b, objects) and (b, colours) of pixels (b, H, W, 3) in [-1, 1]."""
        x = self.conv_in(pixels)
        for downsample, resnet in zip(self.downsamplers, self.resnets, strict=True):
            x = resnet(downsample(x))
        pooled = nnx.silu(self.conv_norm_out(x)).mean(axis=(1, 2))
        return self.objects(pooled), self.colours(pooled)


PART = Part("", Classifier, ClassifierConfig, CLASSIFIER)


@dataclass(frozen=True)
class Recogniser:
    """The classifier, ready to look at pictures. Made by `from_pretrained`."""

    classifier: Network

    @classmethod
    def from_pretrained(cls, directory: str | Path = EMBEDDED) -> Recogniser:
        """Reads what `rival_jax.training` wrote; trained on drawings only, apart from model and judge."""
        parts = plan(Path(directory), PART, jnp.float32)
        return cls(Network(parts.graphdef, load_state(parts), parts.config))

    def __call__(self, images: Sequence[np.ndarray] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The names of the things and of their colours, (n,) each, in pictures (n, H, W, 3) uint8."""
        config = self.classifier.config
        pixels = resized(images, config.sample_size) / np.float32(127.5) - 1
        objects, colours = in_batches(partial(_logits, self.classifier), pixels)
        return np.asarray(config.objects)[objects.argmax(-1)], np.asarray(config.colours)[colours.argmax(-1)]


@jax.jit
def _logits(classifier: Network, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
    with jax.default_matmul_precision("highest"):
        return classifier.module()(pixels)
