"""From clean latents to noise: the chain that everything else follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rival_jax.models.network import Network
from rival_jax.options import TimestepConvention
from rival_jax.schedule import Schedule, ddim_step, to_noise
from rival_jax.shapes import ChainLatents, ExemplarLatents, ExemplarTexts, Pixels
from rival_jax.steps import Progress, chunks


@dataclass(frozen=True)
class Chain:
    """The inverted exemplars: what `invert` returns and `vary` takes in place of photos.

    latents: (T + 1, E, h, w, c) float32, scaled; index 0 is clean, T the noisiest.
    pixels: (E, H, W, 3) uint8, the exemplars as the model saw them.
    source_prompt: one an exemplar, what the chain was told.
    timestep_convention: which timestep the UNet was told.
    """

    latents: ChainLatents
    pixels: Pixels
    source_prompt: tuple[str, ...]
    timestep_convention: TimestepConvention

    @property
    def num_inference_steps(self) -> int:
        return self.latents.shape[0] - 1


def invert(
    unet: Network,
    schedule: Schedule,
    latents_eyxc: ExemplarLatents,
    text_emd: ExemplarTexts,
    *,
    num_inference_steps: int,
    timestep_convention: TimestepConvention,
    progress: Progress,
) -> ChainLatents:
    """The chain's latents (T + 1, e, y, x, c) of scaled clean latents, by DDIM inversion without guidance.

    Source: RIVAL Eq. 5. Differs: "target" tells the UNet the timestep it steps to, as the authors' code does;
    "current" the one it stands at, the equation to the letter.
    """
    timesteps = schedule.timesteps(num_inference_steps)
    levels = schedule.levels(num_inference_steps)
    told = timesteps if timestep_convention == "target" else np.concatenate([[0], timesteps[:-1]]).astype(np.int32)
    repeats, length = chunks(num_inference_steps)
    x, parts = latents_eyxc, [latents_eyxc[None]]
    progress("inversion", 0, num_inference_steps)
    for index in range(repeats):
        steps = slice(index * length, (index + 1) * length)
        inputs = told[steps], levels[:-1][steps], levels[1:][steps]
        x, part = _ascend(unet, x, text_emd, inputs, prediction_type=schedule.prediction_type)
        parts.append(jax.block_until_ready(part))
        progress("inversion", (index + 1) * length, num_inference_steps)
    return jnp.concatenate(parts)


@partial(jax.jit, static_argnames=("prediction_type",))
def _ascend(unet: Network, x_eyxc: jax.Array, text_emd: jax.Array, inputs, *, prediction_type: str):
    """A few steps up the chain: the last latents and all of them."""
    network = unet.module()

    def step(x, inputs):
        timestep, level, next_level = inputs
        prediction = network(x, jnp.full(x.shape[0], timestep), text_emd)
        x = ddim_step(x, to_noise(prediction, x, level, prediction_type), level, next_level)
        return x, x

    return lax.scan(step, x_eyxc, inputs)
