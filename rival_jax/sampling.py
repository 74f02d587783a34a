"""Generation along a course: one loop for every application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from rival_jax.alignment import adain
from rival_jax.attend import WithPictures
from rival_jax.conditioning import Conditioning
from rival_jax.course import Course, Known, Networks, State, study
from rival_jax.devices import BY_VARIATION, SAME, mesh_for, one_device, over, place
from rival_jax.models.attention import Prefix
from rival_jax.models.network import Network
from rival_jax.reading import Read
from rival_jax.rows import Layout
from rival_jax.schedule import Schedule, clean_of, mix, noise_of, split
from rival_jax.shapes import VariationLatents
from rival_jax.stages import Stage, Stages
from rival_jax.steps import chunks

Watch = Callable[[int, VariationLatents], None]
"""Called with the index into the chain, T ... 0, and the latents (e, n, y, x, c) there."""


def follow(
    networks: Networks,
    schedule: Schedule,
    course: Course,
    initial_enyxc: VariationLatents,
    plan: Stages,
    *,
    sizes: dict[str, int],
    watch: Watch,
    each_step: bool,
    once: bool,
) -> VariationLatents:
    """The final latents (e, n, y, x, c) of one batch that starts at `initial_enyxc` and follows the course.

    It starts as many steps above the clean end as the plan has.

    Args:
        sizes: `exemplars` and `variations` that the program is for; fewer are filled up, and the filling dropped.
        watch: called at the start and now and then, or after `each_step`, which then is a program run of its own.
        once: run each program once.
    """
    left, (exemplars, variations) = sum(count for _, count in plan), initial_enyxc.shape[:2]
    mesh = mesh_for(sizes["exemplars"], sizes["variations"])
    state, course, known = prepared(networks, schedule, course, initial_enyxc, sizes=sizes)
    watch(left, state.x[:exemplars, :variations])
    for stage, count in plan:
        repeats, length = (count, 1) if each_step else chunks(count)
        for repeat in range(repeats):
            static = {"stage": stage, "length": length, "prediction_type": schedule.prediction_type, "mesh": mesh}
            if repeat == 0 or not once:
                state = jax.block_until_ready(descend(networks, state, np.int32(left), course, known, **static))
            left -= length
            watch(left, state.x[:exemplars, :variations])
    return state.x[:exemplars, :variations]


def prepared(
    networks: Networks, schedule: Schedule, course: Course, initial_enyxc: VariationLatents, *, sizes: dict[str, int]
) -> tuple[State, Course, Known]:
    """What `descend` takes, on the devices that its program for `sizes` wants."""
    mesh = mesh_for(sizes["exemplars"], sizes["variations"])
    x, course = place(mesh, initial_enyxc, BY_VARIATION, sizes), course.placed(sizes)
    state = State(x, None if course.solver == "ddim" else jnp.zeros_like(x))
    return state, course, study(networks, schedule, course, mesh=mesh)


def one_step(unet: Network, shape: tuple[int, ...], text: tuple[int, ...], stage: Stage, variations: int) -> tuple:
    """The program of one exemplar's step, and the shapes of its arguments; latents' (y, x, c), prompts' (m, d)."""

    def of(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, np.float32)

    if stage.attention != "plain" and not stage.references:  # kept states: no more than with a reference row
        stage = replace(stage, references=1)
    told, own = (Conditioning.shaped(1, k, text=text, added=unet.config.added_width) for k in (4, variations))
    chain, guidance = of(2, 1, *shape), of(1, variations)
    course = Course(chain, told, guidance)  # pyright: ignore[reportArgumentType]
    if stage.kind is not None:
        course = replace(course, chain=of(2, 1, 2, *shape), between=guidance, own=own)
    networks, mesh = (unet,), one_device()
    known = jax.eval_shape(lambda *given: study(given[0], Schedule(), given[1], mesh=mesh), networks, course)
    program = partial(descend, stage=stage, length=1, prediction_type="epsilon", mesh=mesh)
    state = State(of(1, variations, *shape))  # pyright: ignore[reportArgumentType]
    return program, networks, state, np.int32(1), course, known


@partial(jax.jit, static_argnames=("stage", "length", "prediction_type", "mesh"))
def descend(
    networks: Networks,
    state: State,
    top: jax.Array,
    course: Course,
    known: Known,
    *,
    stage: Stage,
    length: int,
    prediction_type: str,
    mesh: Mesh,
) -> State:
    """`length` steps down from chain index `top`.

    Source: RIVAL section 3; with a second-order course DPM-Solver++ (2M) in place of DDIM.
    """

    def program(networks, state, top, course, known):
        unet, *controls = (network.module() for network in networks)
        layout = stage.layout(state.x.shape[1])

        def step(state, t):
            x, level = state.x, known.levels[t]
            kept = jax.tree.map(lambda x: x[t - 1], course.kept)
            attend, prefix = stage.attend(layout, kept, course.between, course.words)
            if course.scales is not None:
                ends, own = course.scales
                scales = layout.join(ends[:, : stage.references], jnp.stack([own, own], axis=1))
                attend = WithPictures(attend, scales, course.plain_pictures, stage.backend)
            rows, prefix = _rows(layout, known.reads[0], prefix, course.references(t), x)
            prediction = unet.predict(
                rows,
                *_told(unet, known.reads[0], course, layout, t, known.own),
                attend=attend,
                prefix=prefix,
                inject=layout.referred if stage.injects else None,
                residuals=_residuals(controls, stage, known, course, layout, x, t),
            )
            reference, positive, negative = layout.split(prediction)
            guided = negative + course.guidance[..., None, None, None] * (positive - negative)
            clean, noise = split(guided, x, level, prediction_type)
            if stage.align == "noise":
                own = split(reference, course.references(t), level, prediction_type)[1]
                noise = adain(noise, own if stage.references else kept.noise[:, None], course.between)
                clean = clean_of(noise, x, level)
            ahead = clean
            if known.second_order is not None:
                ahead = clean + known.second_order[t] * (clean - state.clean)
                noise = noise_of(ahead, x, level)
            x = mix(ahead, noise, known.levels[t - 1])
            if stage.align == "latent":
                x = adain(x, course.references(t - 1), course.between)
            if course.hole is not None:
                x = jnp.where(course.hole[:, None], x, course.chain[t - 1][:, None])
            return State(x, None if state.clean is None else clean), None

        return lax.scan(step, state, top - jnp.arange(length, dtype=top.dtype))[0]

    shares = (SAME, BY_VARIATION, SAME, course.axes, known.axes)
    return over(mesh, program, shares, BY_VARIATION)(networks, state, top, course, known)


def _rows(
    layout: Layout, read: Read, prefix: Prefix | None, references: jax.Array | None, x_enyxc: jax.Array
) -> tuple[jax.Array, Prefix | None]:
    """What goes into a network, and the prefix; where prompts change what it makes of timesteps there is none."""
    rows = layout.latents(references, x_enyxc)
    return (rows, prefix) if prefix and read.added is None else (layout.spread(rows), None)


def _told(
    network, read: Read, course: Course, layout: Layout, t: jax.Array, own: Read | None = None
) -> tuple[jax.Array, list]:
    """What all rows are told at a step: embedded timesteps, and keys and values of the prompts."""
    texts, time_bd = read.texts, read.times[t - 1][None]
    if read.added is not None:
        time_bd = time_bd + layout.texts(read.added, own and own.added)
    if course.null is not None:
        null = network.read(course.null[t - 1])
        texts = jax.tree.map(lambda all_four, found: all_four.at[:, 3].set(found), texts, null)
    told = [texts] if read.pictures is None else [texts, read.pictures]
    mine = () if own is None else ([own.texts] if own.pictures is None else [own.texts, own.pictures],)
    rows = jax.tree.map(layout.texts, told, *mine)
    return time_bd, rows[0] if len(rows) == 1 else list(zip(*rows, strict=True))


def _residuals(controls, stage: Stage, known: Known, course: Course, layout: Layout, x_enyxc: jax.Array, t: jax.Array):
    """What the ControlNets add in the UNet at a step: to generated rows, nothing to reference rows."""
    if not controls:
        return None
    generated = Layout(0, layout.num_variations)
    attend, prefix = replace(stage, attention="plain").attend(generated, None)
    rows, prefix = _rows(generated, known.reads[0], prefix, None, x_enyxc)
    weighed = []
    for network, control, read in zip(controls, course.controls, known.reads[1:], strict=True):
        image = jnp.repeat(jnp.asarray(read.image), len(rows) // len(x_enyxc), axis=0)
        told = _told(network, read, course, generated, t)
        added = network.predict(rows, *told, image, attend=attend, prefix=prefix)
        weighed.append(jax.tree.map(partial(_weighed, control.scale), added))
    return jax.tree.map(lambda *all_of: layout.generated(reduce(jnp.add, all_of)), *weighed)


def _weighed(scale: Any, x: jax.Array) -> jax.Array:
    return scale.astype(x.dtype) * x
