"""Generation along the chain: stages with a fixed attention and a fixed alignment, one scan each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from rival_jax.alignment import adain
from rival_jax.attend import FromKept, FromReference, Plain
from rival_jax.chain import Kept
from rival_jax.devices import BY_EXEMPLAR, BY_VARIATION, CHAIN, SAME, mesh_for, one_device, over, place
from rival_jax.models.attention import Attend, Prefix
from rival_jax.models.network import Network
from rival_jax.options import Align, Backend, Reference
from rival_jax.reading import READ, Read, read
from rival_jax.rows import Layout
from rival_jax.schedule import Schedule, ddim_step, to_noise
from rival_jax.shapes import ChainLatents, ExemplarTexts, Guidance, VariationLatents
from rival_jax.steps import chunks

Watch = Callable[[int, VariationLatents], None]
"""Called with the index into the chain, T ... 0, and the latents (e, n, y, x, c) there."""


@dataclass(frozen=True)
class Prompts:
    """Text embeddings (e, m, d): of the chain's source prompt, the target, the negative and the empty prompt."""

    source: ExemplarTexts
    target: ExemplarTexts
    negative: ExemplarTexts
    empty: ExemplarTexts

    def stacked(self) -> jax.Array:
        """(e, 4, m, d): what references are told, by source and empty prompt, and what the two guidance halves are."""
        return jnp.stack([self.source, self.empty, self.target, self.negative], axis=1)


@dataclass(frozen=True)
class Stage:
    """Steps that share one program. All of it is static."""

    attention: Literal["plain", "replace", "concat"]
    align: Align
    references: int
    """Reference rows of an exemplar; 0 too where the reference's states were kept from the inversion."""
    backend: Backend | None = None

    def attend(self, layout: Layout, kept: Kept | None) -> tuple[Attend, Prefix]:
        """Who attends to whom at a step, among all rows and among those before the first cross-attention."""
        if self.attention == "plain":
            return Plain(self.backend), Prefix(Plain(self.backend), layout.spread)
        keep_own = self.attention == "concat"
        if kept:
            attend = FromKept(iter(kept.states), keep_own, self.backend)  # each layer takes its own, prefix or not
            return attend, Prefix(attend, layout.spread)
        few = FromReference(1 + layout.num_variations, keep_own, self.backend)
        return FromReference(layout.group, keep_own, self.backend), Prefix(few, layout.spread)


def stages(
    timesteps: np.ndarray,
    *,
    t_align: float,
    t_early: float,
    attention_start: float,
    align: Align,
    reference: Reference,
    kept: bool = False,
    backend: Backend | None = None,
) -> list[tuple[Stage, int]]:
    """The stages from the noisiest step to the cleanest, each with its number of steps.

    Source: RIVAL Eq. 3 (t > t_align replaces keys and values), Eq. 7-8 (t > t_early aligns); `attention_start` is the
    authors' `editing_early_steps`: while t > attention_start the generated rows attend to themselves. `kept` says that
    the reference's states were kept from the inversion and need no rows.
    """

    def stage(timestep: int) -> Stage:
        attention = "plain" if timestep > attention_start else "replace" if timestep > t_align else "concat"
        aligned = align if timestep > t_early else "none"
        references = {"shared": 1, "paired": 2}[reference] if attention != "plain" else int(aligned == "noise")
        return Stage(attention, aligned, 0 if kept else references, backend)

    return [(key, len(list(group))) for key, group in groupby(map(stage, timesteps[::-1].tolist()))]


def follow(
    unet: Network,
    schedule: Schedule,
    chain_teyxc: ChainLatents,
    kept: Kept | None,
    initial_enyxc: VariationLatents,
    text_e4md: jax.Array,
    guidance_en: Guidance,
    plan: list[tuple[Stage, int]],
    *,
    sizes: dict[str, int],
    watch: Watch,
    each_step: bool,
    once: bool,
) -> VariationLatents:
    """The final latents (e, n, y, x, c) of one batch that starts at `initial_enyxc` and follows the chain.

    Args:
        text_e4md: embedded prompts, as `Prompts.stacked` makes them.
        guidance_en: weight of the prompt against the negative prompt, float32.
        sizes: `exemplars` and `variations` that the program is for; fewer are filled up, and the filling dropped.
        watch: called at the start and now and then, or after `each_step`, which then is a program run of its own.
        once: run each program once.
    """
    left, (exemplars, variations) = len(chain_teyxc) - 1, initial_enyxc.shape[:2]
    mesh = mesh_for(sizes["exemplars"], sizes["variations"])
    x, *constants = placed(unet, schedule, chain_teyxc, kept, initial_enyxc, text_e4md, guidance_en, sizes=sizes)
    watch(left, x[:exemplars, :variations])
    for stage, count in plan:
        repeats, length = (count, 1) if each_step else chunks(count)
        for repeat in range(repeats):
            static = {"stage": stage, "length": length, "prediction_type": schedule.prediction_type, "mesh": mesh}
            if repeat == 0 or not once:
                x = jax.block_until_ready(descend(unet, x, np.int32(left), *constants, **static))
            left -= length
            watch(left, x[:exemplars, :variations])
    return x[:exemplars, :variations]


def placed(
    unet: Network,
    schedule: Schedule,
    chain_teyxc: ChainLatents,
    kept: Kept | None,
    initial_enyxc: VariationLatents,
    text_e4md: jax.Array,
    guidance_en: Guidance,
    *,
    sizes: dict[str, int],
) -> tuple:
    """What `descend` takes beside the network and the index: the initial latents, then what no step changes."""
    steps, mesh = len(chain_teyxc) - 1, mesh_for(sizes["exemplars"], sizes["variations"])
    known = read(unet, place(mesh, text_e4md, BY_EXEMPLAR, sizes), schedule.timesteps(steps), mesh=mesh)
    x, guidance = (place(mesh, array, BY_VARIATION, sizes) for array in (initial_enyxc, guidance_en))
    chain, kept = (place(mesh, tree, CHAIN, sizes) for tree in (chain_teyxc, kept))
    return x, chain, kept, schedule.levels(steps), known, guidance


def one_step(unet: Network, shape: tuple[int, ...], text: tuple[int, ...], stage: Stage, variations: int) -> tuple:
    """The program of one exemplar's step, and the shapes of its arguments; latents' (y, x, c), prompts' (m, d)."""

    def of(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, np.float32)

    if stage.attention != "plain" and not stage.references:  # kept states: no more than with a reference row
        stage = replace(stage, references=1)
    known = jax.eval_shape(partial(read, mesh=one_device()), unet, of(1, 4, *text), np.zeros(1, np.int32))
    program = partial(descend, stage=stage, length=1, prediction_type="epsilon", mesh=one_device())
    constants = of(2, 1, *shape), None, of(2), known, of(1, variations)
    return program, unet, of(1, variations, *shape), np.int32(1), *constants


@partial(jax.jit, static_argnames=("stage", "length", "prediction_type", "mesh"))
def descend(
    unet: Network,
    x_enyxc: jax.Array,
    top: jax.Array,
    chain_teyxc: jax.Array,
    kept: Kept | None,
    levels: jax.Array,
    known: Read,
    guidance_en: jax.Array,
    *,
    stage: Stage,
    length: int,
    prediction_type: str,
    mesh: Mesh,
) -> jax.Array:
    """`length` steps down from chain index `top`."""

    def program(unet, x_enyxc, top, chain_teyxc, kept, levels, known, guidance_en):
        network = unet.module()
        layout = Layout(stage.references, x_enyxc.shape[1])

        def step(x_enyxc, t):
            level = levels[t]
            latents = layout.latents(chain_teyxc[t], x_enyxc)
            at_step = jax.tree.map(lambda x: x[t - 1], kept)
            attend, prefix = stage.attend(layout, at_step)
            texts = jax.tree.map(lambda x: layout.texts(x[:, :2], x[:, 2:]), known.texts)
            prediction = network.predict(latents, known.times[t - 1][None], texts, attend=attend, prefix=prefix)
            noise = to_noise(prediction, layout.spread(latents), level, prediction_type)
            reference, positive, negative = layout.split(noise)
            guided = negative + guidance_en[..., None, None, None] * (positive - negative)
            if stage.align == "noise":
                guided = adain(guided, reference if stage.references else at_step.noise[:, None])
            x_enyxc = ddim_step(x_enyxc, guided, level, levels[t - 1])
            if stage.align == "latent":
                x_enyxc = adain(x_enyxc, chain_teyxc[t - 1][:, None])
            return x_enyxc, None

        return lax.scan(step, x_enyxc, top - jnp.arange(length, dtype=top.dtype))[0]

    shares = (SAME, BY_VARIATION, SAME, CHAIN, CHAIN, SAME, READ, BY_VARIATION)
    split = over(mesh, program, shares, BY_VARIATION)
    return split(unet, x_enyxc, top, chain_teyxc, kept, levels, known, guidance_en)
