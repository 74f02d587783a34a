"""The recogniser's training: name the thing and the colour of pictures drawn for it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from rival_jax.metrics.recogniser import Classifier, ClassifierConfig
from rival_jax.training.datasets import Labelled
from rival_jax.training.loop import fit
from rival_jax.training.recipe import Phase


def train(
    drawn: Labelled, config: ClassifierConfig, phase: Phase, seed: int, directory: Path, report: Callable
) -> nnx.State:
    """Cross-entropy of both names; half of the pictures are softened, as decoded ones are.

    Returns the averaged state.
    """
    graphdef, params = nnx.split(nnx.jit(lambda: Classifier(config, rngs=nnx.Rngs(seed)))())
    labels = {
        "objects": np.searchsorted(config.objects, drawn.objects),
        "colours": np.searchsorted(config.colours, drawn.colours),
    }

    def loss(params, batch, key):
        pixels = _disturb(batch["pixels"].astype(jnp.float32) / 127.5 - 1, key)
        objects, colours = nnx.merge(graphdef, params)(pixels)
        entropy = optax.softmax_cross_entropy_with_integer_labels
        return (entropy(objects, batch["objects"]) + entropy(colours, batch["colours"])).mean()

    def batch(rng: np.random.Generator):
        rows = rng.integers(len(drawn.pictures), size=phase.batch)
        return {"pixels": drawn.pictures[rows]} | {name: numbers[rows] for name, numbers in labels.items()}

    return fit(params, loss, batch, phase, directory, seed=seed, report=report)


def _disturb(pixels: jax.Array, key: jax.Array) -> jax.Array:
    """Half of the pixels (b, H, W, 3) softened by a 3 x 3 binomial filter, all with a little noise."""
    keys = jax.random.split(key)
    soft = pixels
    for axis in (1, 2):
        soft = soft / 2 + (jnp.roll(soft, 1, axis) + jnp.roll(soft, -1, axis)) / 4
    chosen = jax.random.bernoulli(keys[0], 0.5, (pixels.shape[0], 1, 1, 1))
    return jnp.where(chosen, soft, pixels) + 0.03 * jax.random.normal(keys[1], pixels.shape)
