"""The text tower, trained against an image tower so that captions and pictures of the same scene meet (as CLIP)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from rival_jax.models.clip import TextEncoder
from rival_jax.models.config import TextConfig
from rival_jax.models.layers import GroupNorm, conv, linear
from rival_jax.training.loop import fit
from rival_jax.training.recipe import Recipe

WIDTH = 128


class ImageTower(nnx.Module):
    """Four strided convolutions and a mean: pixels (b, H, W, 3) in [-1, 1] -> unit vectors (b, WIDTH)."""

    def __init__(self, *, rngs: nnx.Rngs):
        widths = (32, 64, 128, 256)
        options = {"dtype": jnp.float32, "rngs": rngs}
        self.convs = nnx.data([conv(a, b, stride=2, **options) for a, b in zip((3, *widths), widths, strict=False)])
        self.norms = nnx.data([GroupNorm(width, 8, 1e-5, **options) for width in widths])
        self.head = linear(widths[-1], WIDTH, **options)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        x = pixels
        for layer, norm in zip(self.convs, self.norms, strict=True):
            x = nnx.silu(norm(layer(x)))
        return _unit(self.head(x.mean(axis=(1, 2))))


class Pair(nnx.Module):
    """Text tower, image tower and the temperature between them."""

    def __init__(self, config: TextConfig, *, rngs: nnx.Rngs):
        self.text = TextEncoder(config, rngs=rngs)
        self.text_head = linear(config.hidden_size, WIDTH, use_bias=False, dtype=jnp.float32, rngs=rngs)
        self.image = ImageTower(rngs=rngs)
        self.log_scale = nnx.Param(jnp.asarray(2.3))

    def embed_text(self, ids_bm: jax.Array) -> jax.Array:
        """Unit vectors (b, WIDTH), read at the end token: the largest id, at its first place."""
        ends = jnp.argmax(ids_bm, axis=-1)
        return _unit(self.text_head(self.text(ids_bm)[jnp.arange(ids_bm.shape[0]), ends]))


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def train(pictures: np.ndarray, ids: np.ndarray, recipe: Recipe, directory: Path, config: TextConfig, report: Callable):
    """Trains the pair on pictures (n, H, W, 3) uint8 and token ids (n, m); returns its graphdef and averaged state."""
    graphdef, params = nnx.split(nnx.jit(lambda: Pair(config, rngs=nnx.Rngs(recipe.seed)))())

    def loss(params, batch, _key):
        pair = nnx.merge(graphdef, params)
        image = pair.image(batch["pixels"].astype(jnp.float32) / 127.5 - 1)
        logits = jnp.exp(jnp.minimum(pair.log_scale.value, 4.6)) * image @ pair.embed_text(batch["ids"]).T
        labels = jnp.arange(logits.shape[0])
        both = optax.softmax_cross_entropy_with_integer_labels
        return (both(logits, labels).mean() + both(logits.T, labels).mean()) / 2

    def batch(rng: np.random.Generator):
        rows = rng.integers(len(pictures), size=recipe.text.batch)
        return {"pixels": pictures[rows], "ids": ids[rows]}

    return graphdef, fit(params, loss, batch, recipe.text, directory, seed=recipe.seed, report=report)
