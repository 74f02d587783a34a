"""Generation of any number of exemplars and variations, in as few batches as memory allows."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rival_jax.batches import Batch, fitting, free_bytes, in_batches
from rival_jax.course import Course, Networks
from rival_jax.devices import mesh_for, share
from rival_jax.memory import temporary_bytes
from rival_jax.sampling import Watch, follow, one_step
from rival_jax.schedule import Schedule
from rival_jax.shapes import Trajectory, VariationLatents
from rival_jax.stages import Stages
from rival_jax.steps import Progress


def generate(
    networks: Networks,
    schedule: Schedule,
    course: Course,
    initial_enyxc: VariationLatents,
    plan: Stages,
    *,
    progress: Progress,
    watch: Watch | None = None,
    once: bool = False,
) -> VariationLatents:
    """The final latents (e, n, y, x, c) of a generation that starts at `initial_enyxc` and follows the course.

    Batches are alike, so that one program serves them all. `watch` sees the start and what each step leaves; all is
    then one batch. `once` runs each program once, which is enough to have them compiled.
    """
    whole = (initial_enyxc.shape[0], initial_enyxc.shape[1])
    run = _one_batch(networks, schedule, course, initial_enyxc, plan, progress, once)
    if watch:
        return run(Batch(slice(whole[0]), slice(whole[1]), whole, 0, 1), watch)
    return _joined(in_batches(run, *whole, _together(networks, whole, course, plan)), axis=0)


def trajectory(
    networks: Networks,
    schedule: Schedule,
    course: Course,
    initial_enyxc: VariationLatents,
    plan: Stages,
    *,
    progress: Progress,
    once: bool = False,
) -> Trajectory:
    """Latents (t, e, n, y, x, c) at every step of what `generate` does; index 0 is the cleanest, the last initial."""
    whole = (initial_enyxc.shape[0], initial_enyxc.shape[1])
    run = _one_batch(networks, schedule, course, initial_enyxc, plan, progress, once)

    def kept(batch: Batch) -> Trajectory:
        seen: list[jax.Array] = []
        run(batch, lambda _, latents: seen.append(latents))
        return jnp.stack(seen[::-1])

    return _joined(in_batches(kept, *whole, _together(networks, whole, course, plan)), axis=1)


def _one_batch(
    networks: Networks,
    schedule: Schedule,
    course: Course,
    initial_enyxc: VariationLatents,
    plan: Stages,
    progress: Progress,
    once: bool,
) -> Callable[..., VariationLatents]:
    """What runs a batch, watched or not."""
    steps = sum(count for _, count in plan)

    def run(batch: Batch, watch: Watch | None = None) -> VariationLatents:
        def seen(index: int, latents: VariationLatents) -> None:
            progress("generation", (batch.done + 1) * steps - index, batch.count * steps)
            if watch:
                watch(index, latents)

        chosen = batch.exemplars, batch.variations
        options = {"sizes": batch.sizes, "watch": seen, "each_step": watch is not None, "once": once}
        return follow(networks, schedule, course.part(*chosen), initial_enyxc[chosen], plan, **options)

    return run


def _joined(parts: list[list[jax.Array]], axis: int) -> jax.Array:
    """Of batches whose exemplars are on an axis and whose variations are on the next."""
    return jnp.concatenate([jnp.concatenate(columns, axis=axis + 1) for columns in parts], axis=axis)


def _together(networks: Networks, whole: tuple[int, int], course: Course, plan: Stages) -> tuple[int, int]:
    """How many exemplars and variations of each one program takes, on all devices."""
    mesh = mesh_for(*whole)
    sides = tuple(mesh.shape[name] for name in ("exemplars", "variations"))
    stage = max((stage for stage, _ in plan), key=lambda stage: (stage.attention == "concat", stage.references))
    copied = sum(x.nbytes for x in jax.tree.leaves(course.kept)) // whole[0]  # each batch has its own of what was kept

    def needed(variations: int) -> int:
        shapes = course.chain.shape[-3:], course.told.text
        return copied + temporary_bytes(*one_step(networks[0], *shapes, stage, variations))

    fit = fitting(*share(*whole), needed, free_bytes())
    e, n = (min(count * side, most) for count, side, most in zip(fit, sides, whole, strict=True))
    return e, n
