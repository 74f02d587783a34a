"""CLIP on the drawn world: a text tower and an image tower, trained so that captions and their pictures meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from rival_jax.models.clip import CLIP
from rival_jax.models.clip_config import CLIPConfig
from rival_jax.training.loop import fit
from rival_jax.training.recipe import Phase

_LARGEST_SCALE = 100.0


class Pair(nnx.Module):
    """CLIP and its temperature."""

    def __init__(self, config: CLIPConfig, *, rngs: nnx.Rngs):
        self.clip = CLIP(config, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.asarray(2.3))


def train(
    pictures: np.ndarray,
    ids: np.ndarray,
    config: CLIPConfig,
    phase: Phase,
    seed: int,
    directory: Path,
    report: Callable,
) -> tuple[CLIP, float]:
    """Trains on pictures (n, H, W, 3) uint8 and token ids (n, m); returns the averaged towers and log temperature."""
    graphdef, params = nnx.split(nnx.jit(lambda: Pair(config, rngs=nnx.Rngs(seed)))())

    def loss(params, batch, _key):
        pair = nnx.merge(graphdef, params)
        image = pair.clip.embed_images(batch["pixels"].astype(jnp.float32) / 127.5 - 1)
        scale = jnp.minimum(jnp.exp(pair.logit_scale[...]), _LARGEST_SCALE)
        logits = scale * image @ pair.clip.embed_text(batch["ids"]).T
        labels = jnp.arange(logits.shape[0])
        both = optax.softmax_cross_entropy_with_integer_labels
        return (both(logits, labels).mean() + both(logits.T, labels).mean()) / 2

    def batch(rng: np.random.Generator):
        rows = rng.integers(len(pictures), size=phase.batch)
        return {"pixels": pictures[rows], "ids": ids[rows]}

    pair = nnx.merge(graphdef, fit(params, loss, batch, phase, directory, seed=seed, report=report))
    return pair.clip, float(pair.logit_scale[...])
