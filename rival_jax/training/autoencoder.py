"""The VAE's training: sharp reconstruction first, a faint pull of the latents towards a Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rival_jax.models.vae import VAE
from rival_jax.training.devices import replicate, split_rows
from rival_jax.training.loop import fit
from rival_jax.training.recipe import Recipe

_GRADIENT_WEIGHT, _KL_WEIGHT = 0.5, 1e-4


def train(pictures: np.ndarray, textures: np.ndarray, recipe: Recipe, directory: Path, report: Callable):
    """Trains on pictures and textures (n, H, W, 3) uint8: L1 of pixels and of their differences, KL a latent dimension.

    Pictures are mirrored and recoloured at random, so that photos of other palettes survive too.
    Returns graphdef and averaged state.
    """
    graphdef, params = nnx.split(nnx.jit(lambda: VAE(recipe.vae_config(), rngs=nnx.Rngs(recipe.seed + 1)))())

    def loss(params, batch, key):
        vae = nnx.merge(graphdef, params)
        pixels = batch["pixels"]
        mean, log_variance = vae.posterior(pixels)
        latents = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        error = vae.decode(latents) - pixels
        kl = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).mean()
        edges = jnp.abs(jnp.diff(error, axis=1)).mean() + jnp.abs(jnp.diff(error, axis=2)).mean()
        return jnp.abs(error).mean() + _GRADIENT_WEIGHT * edges + _KL_WEIGHT * kl

    def batch(rng: np.random.Generator):
        drawn = [textures if rng.random() < recipe.texture_share else pictures for _ in range(recipe.vae.batch)]
        pixels = [kind[rng.integers(len(kind))].astype(np.float32) / 127.5 - 1 for kind in drawn]
        return {"pixels": np.stack([_recolour(picture, rng) for picture in pixels])}

    return graphdef, fit(params, loss, batch, recipe.vae, directory, seed=recipe.seed + 1, report=report)


def _recolour(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the pictures as they are, half with a random affine map of their colours; mirrored at random."""
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < 0.5:
        mixing = np.eye(3)[rng.permutation(3)] * rng.uniform(0.3, 1.0) + rng.normal(0, 0.15, (3, 3))
        picture = np.clip(picture @ mixing * rng.choice([-1, 1]) + rng.normal(0, 0.2, 3), -1, 1)
    return picture.astype(np.float32)


def encode(graphdef, params, pictures: np.ndarray, batch: int = 250) -> np.ndarray:
    """Posterior means (n, h, w, c), float32, unscaled, of pictures (n, H, W, 3) uint8."""
    mean = jax.jit(lambda params, rows: nnx.merge(graphdef, params).encode(rows.astype(jnp.float32) / 127.5 - 1))

    def encoded(rows: np.ndarray) -> np.ndarray:
        return np.asarray(mean(replicate(params, len(rows)), split_rows(rows, len(rows))))

    return np.concatenate([encoded(pictures[i : i + batch]) for i in range(0, len(pictures), batch)])
