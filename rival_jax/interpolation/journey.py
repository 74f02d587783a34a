"""What lies between two ends: the noise, the prompts and the coefficients that frames are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.interpolation.mixing import lerp, noise_between
from rival_jax.options import SlerpAxis
from rival_jax.shapes import EndsLatents, VariationLatents


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["latents", "told", "guide", "guidance"],
    meta_fields=["slerp_axis"],
)
@dataclass(frozen=True)
class Journey:
    """Both ends of E sequences, and what leads from one to the other.

    latents: (T + 1, E, 2, h, w, c), what the ends are at each step; index 0 is clean, T the noisiest.
    told: (E, 3, ...) of the start, the end and the negative prompt.
    guide: (E, ...) of what the frames between shall show; None is a mixture of the ends'.
    guidance: (E, 1) float32.
    slerp_axis: what of a latent is one vector.
    """

    latents: EndsLatents
    told: Conditioning
    guide: Conditioning | None
    guidance: jax.Array
    slerp_axis: SlerpAxis


@jax.jit
def frames_between(journey: Journey, t_en: jax.Array) -> tuple[Course, VariationLatents]:
    """The course of frames at coefficients (e, n), 0 ... 1, and the latents (e, n, y, x, c) that they start from.

    Source: AID section 3.2; PAID section 3.4 with a guide.
    """
    e, n = t_en.shape

    def each(told: Conditioning) -> Conditioning:
        return jax.tree.map(lambda x: jnp.broadcast_to(x[:, None], (e, n, *x.shape[1:])), told)

    start, end, negative = (jax.tree.map(lambda x, i=i: x[:, i], journey.told) for i in range(3))
    own = lerp(each(start), each(end), t_en) if journey.guide is None else each(journey.guide)
    told = Conditioning.stacked([start, end, end, negative])
    latents = jnp.asarray(journey.latents)
    noise = noise_between(latents[-1, :, 0], latents[-1, :, 1], t_en, journey.slerp_axis)
    guidance = jnp.broadcast_to(journey.guidance, (e, n))
    return Course(latents, told, guidance, between=t_en, own=own), noise
