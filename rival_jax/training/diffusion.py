"""The UNet's training: predict the noise in a noised latent, with a tenth of the captions dropped for guidance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rival_jax.models.unet import UNet
from rival_jax.schedule import Schedule
from rival_jax.training.loop import fit
from rival_jax.training.recipe import SCHEDULER_JSON, Recipe


def train(
    latents: np.ndarray, ids: np.ndarray, empty_id: np.ndarray, text, recipe: Recipe, directory: Path, report: Callable
):
    """Trains on scaled latents (n, h, w, c) and token ids (n, m).

    `text` is the frozen text tower's (graphdef, state); `empty_id` (m,) are the ids of the empty caption.
    Timesteps are stratified over the batch. Returns graphdef and averaged state.
    """
    text_graphdef, text_state = text
    graphdef, params = nnx.split(nnx.jit(lambda: UNet(recipe.unet_config(), rngs=nnx.Rngs(recipe.seed + 2)))())
    alphas_cumprod = jnp.asarray(Schedule.from_dict(SCHEDULER_JSON).alphas_cumprod, jnp.float32)

    def loss(params, batch, key):
        keys = jax.random.split(key, 3)
        rows = batch["latents"].shape[0]
        strata = (jnp.arange(rows) + jax.random.uniform(keys[0], (rows,))) / rows
        timestep = jnp.floor(strata * len(alphas_cumprod)).astype(jnp.int32)
        level = alphas_cumprod[timestep][:, None, None, None]
        noise = jax.random.normal(keys[1], batch["latents"].shape)
        noisy = jnp.sqrt(level) * batch["latents"] + jnp.sqrt(1 - level) * noise
        dropped = jax.random.uniform(keys[2], (rows, 1)) < recipe.caption_dropout
        tokens = nnx.merge(text_graphdef, text_state)(jnp.where(dropped, empty_id[None], batch["ids"]))
        predicted = nnx.merge(graphdef, params)(noisy, timestep, jax.lax.stop_gradient(tokens))
        return jnp.square(predicted - noise).mean()

    def batch(rng: np.random.Generator):
        rows = rng.integers(len(latents), size=recipe.unet.batch)
        return {"latents": latents[rows], "ids": ids[rows]}

    return graphdef, fit(params, loss, batch, recipe.unet, directory, seed=recipe.seed + 2, report=report)
