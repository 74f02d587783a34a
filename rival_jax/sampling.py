"""Generation along the chain: stages with a fixed attention and a fixed alignment, one scan each.

The rows of one UNet call, for each exemplar, with N variations of it:

    reference rows R     generated rows
    0                    [pos x N | neg x N]                   plain attention, nothing read from the chain's noise
    1 ("shared")         [ref | pos x N | neg x N]             one group: all read the one reference
    2 ("paired")         [ref | pos x N] [empty ref | neg x N] two groups: each half reads its own
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rival_jax.alignment import adain
from rival_jax.attend import FromReference, plain
from rival_jax.models.network import Network
from rival_jax.options import Align, Reference
from rival_jax.schedule import Schedule, ddim_step, to_noise
from rival_jax.shapes import ChainLatents, ExemplarTexts, VariationLatents
from rival_jax.steps import Progress, chunks

Watch = Callable[[int, VariationLatents], None]
"""Called with the index into the chain, T ... 0, and the latents (e, n, y, x, c) there."""


@partial(jax.tree_util.register_dataclass, data_fields=["source", "target", "negative", "empty"], meta_fields=[])
@dataclass(frozen=True)
class Prompts:
    """Text embeddings (e, m, d): of the chain's source prompt, the target, the negative and the empty prompt."""

    source: ExemplarTexts
    target: ExemplarTexts
    negative: ExemplarTexts
    empty: ExemplarTexts


@dataclass(frozen=True)
class Stage:
    """Steps that share one program. All of it is static."""

    attention: Literal["plain", "replace", "concat"]
    align: Align
    references: int

    def attend(self, num_variations: int):
        if self.attention == "plain":
            return plain
        rows = 1 + 2 * num_variations // self.references
        return FromReference(rows=rows, keep_own=self.attention == "concat")


def stages(
    timesteps: np.ndarray, *, t_align: float, t_early: float, attention_start: float, align: Align, reference: Reference
) -> list[tuple[Stage, int]]:
    """The stages from the noisiest step to the cleanest, each with its number of steps.

    Source: RIVAL Eq. 3 (t > t_align replaces keys and values), Eq. 7-8 (t > t_early aligns); `attention_start` is the
    authors' `editing_early_steps`: while t > attention_start the generated rows attend to themselves.
    """

    def stage(timestep: int) -> Stage:
        attention = "plain" if timestep > attention_start else "replace" if timestep > t_align else "concat"
        aligned = align if timestep > t_early else "none"
        references = {"shared": 1, "paired": 2}[reference] if attention != "plain" else int(aligned == "noise")
        return Stage(attention, aligned, references)

    return [(key, len(list(group))) for key, group in groupby(map(stage, timesteps[::-1].tolist()))]


def generate(
    unet: Network,
    schedule: Schedule,
    chain_teyxc: ChainLatents,
    initial_enyxc: VariationLatents,
    prompts: Prompts,
    plan: list[tuple[Stage, int]],
    *,
    guidance_scale: float,
    progress: Progress,
    watch: Watch | None = None,
) -> VariationLatents:
    """The final latents (e, n, y, x, c) of a generation that starts at `initial_enyxc` and follows the chain.

    `watch` sees the start and what each step leaves; every step is then a run of the program of its own.
    """
    steps = chain_teyxc.shape[0] - 1
    constants = {
        "chain_teyxc": chain_teyxc,
        "timesteps": schedule.timesteps(steps),
        "levels": schedule.levels(steps),
        "prompts": prompts,
        "guidance_scale": np.float32(guidance_scale),
    }
    x, left = initial_enyxc, steps
    progress("generation", 0, steps)
    if watch:
        watch(left, x)
    for stage, count in plan:
        repeats, length = (count, 1) if watch else chunks(count)
        for _ in range(repeats):
            static = {"stage": stage, "length": length, "prediction_type": schedule.prediction_type}
            x = jax.block_until_ready(_descend(unet, x, np.int32(left), **constants, **static))
            left -= length
            if watch:
                watch(left, x)
            progress("generation", steps - left, steps)
    return x


@partial(jax.jit, static_argnames=("stage", "length", "prediction_type"))
def _descend(
    unet: Network,
    x_enyxc: jax.Array,
    top: jax.Array,
    *,
    chain_teyxc: jax.Array,
    timesteps: jax.Array,
    levels: jax.Array,
    prompts: Prompts,
    guidance_scale: jax.Array,
    stage: Stage,
    length: int,
    prediction_type: str,
) -> jax.Array:
    """`length` steps down from chain index `top`."""
    network = unet.module()
    attend = stage.attend(x_enyxc.shape[1])
    text = _text_rows(prompts, stage.references, x_enyxc.shape[1])

    def step(x_enyxc, t):
        level = levels[t]
        rows = _rows(_references(chain_teyxc[t], stage.references), _halves(x_enyxc))
        timestep = jnp.full(rows.shape[0], timesteps[t - 1])
        noise = to_noise(network(rows, timestep, text, attend=attend), rows, level, prediction_type)
        reference, positive, negative = _split(noise, x_enyxc.shape[:2], stage.references)
        guided = negative + guidance_scale * (positive - negative)
        if stage.align == "noise":
            guided = adain(guided, reference)
        x_enyxc = ddim_step(x_enyxc, guided, level, levels[t - 1])
        if stage.align == "latent":
            x_enyxc = adain(x_enyxc, chain_teyxc[t - 1][:, None])
        return x_enyxc, None

    return lax.scan(step, x_enyxc, top - jnp.arange(length, dtype=top.dtype))[0]


def _text_rows(prompts: Prompts, references: int, num_variations: int) -> jax.Array:
    """The rows' text embeddings (b, m, d)."""
    own = jnp.stack([prompts.source, prompts.empty], axis=1)[:, :references]
    halves = jnp.stack([prompts.target, prompts.negative], axis=1)[:, :, None]
    shape = (*halves.shape[:2], num_variations, *halves.shape[3:])
    return _rows(own, jnp.broadcast_to(halves, shape))


def _references(x_e: jax.Array, references: int) -> jax.Array:
    """(e, ...) -> (e, references, ...)."""
    return jnp.broadcast_to(x_e[:, None], (x_e.shape[0], references, *x_e.shape[1:]))


def _halves(x_en: jax.Array) -> jax.Array:
    """(e, n, ...) -> (e, 2, n, ...): both guidance halves start from the same latents."""
    return jnp.broadcast_to(x_en[:, None], (x_en.shape[0], 2, *x_en.shape[1:]))


def _rows(references: jax.Array, generated: jax.Array) -> jax.Array:
    """References (e, R, ...) and generated rows (e, 2, n, ...) as the rows of one call (b, ...)."""
    e, _, n, *rest = generated.shape
    if references.shape[1] == 2:
        return jnp.concatenate([references[:, :, None], generated], axis=2).reshape(-1, *rest)
    return jnp.concatenate([references, generated.reshape(e, 2 * n, *rest)], axis=1).reshape(-1, *rest)


def _split(rows: jax.Array, exemplars_and_variations: tuple[int, int], references: int):
    """The inverse of `_rows`: reference (e, 1, ...) of the source prompt, positive and negative (e, n, ...)."""
    e, n = exemplars_and_variations
    rest = rows.shape[1:]
    if references == 2:
        rows = rows.reshape(e, 2, 1 + n, *rest)
        return rows[:, 0, :1], rows[:, 0, 1:], rows[:, 1, 1:]
    rows = rows.reshape(e, references + 2 * n, *rest)
    generated = rows[:, references:]
    return rows[:, :references], generated[:, :n], generated[:, n:]
