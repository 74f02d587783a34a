"""What lies between two ends: the noise, the prompts and the coefficients that frames are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp

from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.interpolation.mixing import lerp, noise_between
from rival_jax.kernels import KeysValues
from rival_jax.models.network import Network
from rival_jax.options import SlerpAxis
from rival_jax.shapes import EndsLatents, VariationLatents


@partial(jax.tree_util.register_dataclass, data_fields=["adapter", "seen", "scale"], meta_fields=["is_scaled"])
@dataclass(frozen=True)
class Pictures:
    """What an IP-Adapter is shown at both ends of E sequences.

    adapter: its network. seen: (E, 3, ...), what its encoder gives of the start's, the end's and no picture.
    scale: its weight, (). is_scaled: whether that grows along the sequence from 0 to 1, and the picture stays.

    Source: AID section 3.5; where it is scaled each frame attends to the end's picture alone.
    """

    adapter: Network
    seen: jax.Array
    scale: jax.Array
    is_scaled: bool

    def read(self, seen: jax.Array) -> list[KeysValues]:
        """Keys and values (..., p, h, k) of what is seen (..., d), or (..., s, d) with a plus adapter."""
        network, lead = self.adapter.module(), seen.shape[:2]
        found = network.read(network.project(seen.reshape(-1, *seen.shape[2:])))
        return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), found)

    def between(self, t_en: jax.Array) -> list[KeysValues]:
        """Of frames at coefficients (e, n). Mixed is what is seen, before it is projected."""
        shape = (*t_en.shape, *self.seen.shape[2:])
        start, end = (jnp.broadcast_to(self.seen[:, i, None], shape) for i in (0, 1))
        return self.read(end if self.is_scaled else lerp(start, end, t_en))

    def scales(self, t_en: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Weights at the ends (e, 2) and of frames (e, n)."""
        if self.is_scaled:
            return jnp.tile(jnp.asarray([[0.0, 1.0]]), (len(t_en), 1)), t_en
        return jnp.full((len(t_en), 2), self.scale), jnp.full(t_en.shape, self.scale)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["latents", "told", "guide", "guidance", "pictures"],
    meta_fields=["slerp_axis"],
)
@dataclass(frozen=True)
class Journey:
    """Both ends of E sequences, and what leads from one to the other.

    latents: (T + 1, E, 2, h, w, c), what the ends are at each step; index 0 is clean, T the noisiest.
    told: (E, 3, ...) of the start, the end and the negative prompt.
    guide: (E, ...) of what the frames between shall show; None is a mixture of the ends'.
    guidance: (E, 1) float32.
    pictures: what an IP-Adapter is shown at both ends, if there is one.
    slerp_axis: what of a latent is one vector.
    """

    latents: EndsLatents
    told: Conditioning
    guide: Conditioning | None
    guidance: jax.Array
    slerp_axis: SlerpAxis
    pictures: Pictures | None = None


@jax.jit
def end_edited(journey: Journey, words_em: jax.Array) -> Course:
    """The course of the end as the start, edited; `words_em` says which of the start's tokens its own stand for."""
    start, end, negative = (jax.tree.map(lambda x, i=i: x[:, i], journey.told) for i in range(3))
    told = Conditioning.stacked([start, negative, end, negative])
    return Course(jnp.asarray(journey.latents)[:, :, 0], told, journey.guidance, words=words_em)


@partial(jax.jit, static_argnames="side")
def end_alone(journey: Journey, *, side: int) -> Course:
    """The course of the start (side 0) or the end (1), drawn alone."""
    own, negative = (jax.tree.map(lambda x, i=i: x[:, i], journey.told) for i in (side, 2))
    told, scaled, pictures = Conditioning.stacked([own, negative, own, negative]), {}, journey.pictures
    if pictures is not None:
        told = replace(told, pictures=pictures.read(pictures.seen[:, jnp.asarray([side, 2, side, 2])]))
        ends, _ = pictures.scales(journey.guidance)
        scaled = {"scales": (ends, ends[:, side : side + 1]), "plain_pictures": pictures.is_scaled}
    return Course(jnp.asarray(journey.latents)[:, :, side], told, journey.guidance, **scaled)


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
    pictures, scaled = journey.pictures, {}
    if pictures is not None:
        own = replace(own, pictures=pictures.between(t_en))
        told = replace(told, pictures=pictures.read(pictures.seen[:, jnp.asarray([0, 1, 1, 2])]))
        scaled = {"scales": pictures.scales(t_en), "plain_pictures": pictures.is_scaled}
    latents = jnp.asarray(journey.latents)
    noise = noise_between(latents[-1, :, 0], latents[-1, :, 1], t_en, journey.slerp_axis)
    guidance = jnp.broadcast_to(journey.guidance, (e, n))
    return Course(latents, told, guidance, between=t_en, own=own, **scaled), noise
