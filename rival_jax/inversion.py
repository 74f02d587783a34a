"""From clean latents to noise: the chain that everything else follows."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from rival_jax.attend import Keep, Plain
from rival_jax.batches import Batch, fitting, free_bytes, in_batches
from rival_jax.chain import Kept
from rival_jax.conditioning import Conditioning
from rival_jax.devices import BY_EXEMPLAR, CHAIN, SAME, mesh_for, one_device, over, place
from rival_jax.memory import temporary_bytes
from rival_jax.models.network import Network
from rival_jax.options import Backend, TimestepConvention
from rival_jax.reading import READ, Read, read
from rival_jax.schedule import Schedule, clean_of, mix, split
from rival_jax.shapes import ChainLatents, ExemplarLatents
from rival_jax.steps import Progress, chunks

T = TypeVar("T")


def invert(
    unet: Network,
    schedule: Schedule,
    latents_eyxc: ExemplarLatents,
    told: Conditioning,
    *,
    num_inference_steps: int,
    timestep_convention: TimestepConvention,
    keep: bool = False,
    fixed_point_steps: int = 0,
    backend: Backend | None = None,
    progress: Progress,
    once: bool = False,
) -> tuple[ChainLatents, Kept | None]:
    """The chain's latents (T + 1, e, y, x, c) of scaled clean latents, by DDIM inversion without guidance.

    In as few batches as memory allows, which are alike, so that one program serves them all. `keep` also returns what a
    reference row would compute again during generation. Under "current" it is that exactly: both tell the UNet the
    timestep at which the latents stand. Under "target" it is what the UNet made of the latents one step cleaner, told
    the same timestep. `fixed_point_steps` is how often each step is taken again with the noise found where it led to,
    which is the noise that generation will find there. `once` runs each program once, which is enough to have them
    compiled.

    Source: RIVAL Eq. 5; for the refinement AIDI (https://arxiv.org/abs/2309.04907).
    Differs: "target" tells the UNet the timestep it steps to, as the authors' code does;
    "current" the one it stands at, the equation to the letter.
    """
    exemplars, steps = len(latents_eyxc), num_inference_steps

    def run(batch: Batch) -> tuple[ChainLatents, Kept | None]:
        def report(done: int) -> None:
            progress("inversion", batch.done * steps + done, batch.count * steps)

        es = batch.exemplars
        static = {"prediction_type": schedule.prediction_type, "keep": keep, "backend": backend}
        static["fixed_point_steps"] = fixed_point_steps
        static["mesh"] = mesh_for(batch.size[0])
        own = jax.tree.map(lambda y: y[es], (latents_eyxc, told))
        x, texts = place(static["mesh"], own, BY_EXEMPLAR, batch.sizes)
        chain = _climb(unet, schedule, x, texts, steps, timestep_convention == "current", static, report, once)
        return jax.tree.map(lambda y: y[:, : es.stop - es.start], chain)

    shapes = latents_eyxc.shape[1:], told.text
    stays = exemplars * kept_bytes(unet, *shapes, steps) if keep else 0
    size = _together(unet, exemplars, *shapes, keep, backend, stays)
    return _joined([columns[0] for columns in in_batches(run, exemplars, 1, (size, 1))], axis=1)


def kept_bytes(unet: Network, shape: tuple[int, ...], text: tuple[int, ...], num_inference_steps: int) -> int:
    """Bytes of `Kept` for one exemplar; latents' (y, x, c), prompts' (m, d)."""
    _, (_, kept) = jax.eval_shape(*one_step(unet, shape, text, keep=True, backend="dense"))
    return num_inference_steps * sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(kept))


def _together(unet: Network, exemplars: int, shape, text, keep: bool, backend: Backend | None, stays: int) -> int:
    """How many exemplars one program takes, on all devices, beside what stays there in the end."""
    devices = mesh_for(exemplars).shape["exemplars"]
    step = one_step(unet, shape, text, keep=keep, backend=backend)
    fit, _ = fitting(-(-exemplars // devices), 1, lambda _: temporary_bytes(*step), free_bytes() - stays // devices)
    return min(fit * devices, exemplars)


def one_step(unet: Network, shape: tuple[int, ...], text: tuple[int, ...], **static: Any) -> tuple:
    """The program of one exemplar's step, and the shapes of its arguments; latents' (y, x, c), prompts' (m, d)."""
    index, level = (jax.ShapeDtypeStruct((1,), kind) for kind in (np.int32, np.float32))
    told = Conditioning.shaped(1, text=text, added=unet.config.added_width)
    known = jax.eval_shape(partial(read, mesh=one_device()), unet, told, np.zeros(1, np.int32))
    program = partial(ascend, prediction_type="epsilon", fixed_point_steps=0, mesh=one_device(), **static)
    return program, unet, jax.ShapeDtypeStruct((1, *shape), np.float32), known, (index, index, level, level)


def _climb(
    unet: Network,
    schedule: Schedule,
    x: jax.Array,
    told: Conditioning,
    steps: int,
    current: bool,
    static: dict[str, Any],
    report: Callable[[int], None],
    once: bool,
) -> tuple[jax.Array, Kept | None]:
    """One batch, from the latents x (e, y, x, c) up."""
    timesteps, levels = schedule.timesteps(steps), schedule.levels(steps)
    known = read(unet, told, np.concatenate([[0], timesteps]).astype(np.int32), mesh=static["mesh"])
    here, ahead = np.arange(steps), np.arange(1, steps + 1)  # which timestep each step starts at, and ends at
    repeats, length = chunks(steps)
    parts, kept = [x[None]], []
    report(0)
    for index in range(repeats):
        at = slice(index * length, (index + 1) * length)
        inputs = (here if current else ahead)[at], ahead[at], levels[:-1][at], levels[1:][at]
        if index == 0 or not once:
            x, made = ascend(unet, x, known, inputs, **static)
            jax.block_until_ready(x)
        parts.append(made[0])  # pyright: ignore[reportPossiblyUnboundVariable] (the first index makes it)
        kept.append(made[1])  # pyright: ignore[reportPossiblyUnboundVariable]
        report((index + 1) * length)
    if static["keep"] and current:  # generation stands at the chain's end too, and never at its start
        end = ahead[-1:], ahead[-1:], levels[-1:], levels[-1:]
        _, (_, last) = ascend(unet, x, known, end, **static)
        kept = [jax.tree.map(lambda x: x[1:], kept[0]), *kept[1:], last]
    return _joined(parts, axis=0), _joined(kept, axis=0) if static["keep"] else None


def _joined(parts: list[T], axis: int) -> T:
    """Trees of arrays one after the other; a part's array is let go as soon as it is copied."""
    leaves, structure = [jax.tree.leaves(part) for part in parts], jax.tree.structure(parts[0])
    parts.clear()
    return structure.unflatten([jnp.concatenate([part.pop(0) for part in leaves], axis) for _ in range(len(leaves[0]))])


@partial(jax.jit, static_argnames=("prediction_type", "keep", "fixed_point_steps", "backend", "mesh"))
def ascend(
    unet: Network,
    x_eyxc: jax.Array,
    known: Read,
    inputs,
    *,
    prediction_type: str,
    keep: bool,
    fixed_point_steps: int,
    backend: Backend | None,
    mesh: Mesh,
):
    """A few steps up the chain: the last latents, and of all steps the latents and what is kept.

    inputs: of each step the index of the timestep told in it and where it is taken again, its level and the next one.
    """

    def program(unet, x_eyxc, known, inputs):
        network = unet.module()

        def step(x, inputs):
            told, ahead, level, next_level = inputs

            def moved(at, at_level, told):
                """x at the next level, by the noise that is found in `at`."""
                states: list[jax.Array] = []
                attend = Keep(states, backend) if keep else Plain(backend)
                prediction = network.predict(at, known.time(told), known.texts, attend=attend)
                noise = split(prediction, at, at_level, prediction_type)[1]
                return mix(clean_of(noise, x, level), noise, next_level), Kept(states, noise) if keep else None

            after, kept = moved(x, level, told)
            if fixed_point_steps:
                again = partial(moved, at_level=next_level, told=ahead)
                after = lax.fori_loop(0, fixed_point_steps - 1, lambda _, after: again(after)[0], after)
                after, kept = again(after)
            return after, (after, kept)

        return lax.scan(step, x_eyxc, inputs)

    everywhere = over(mesh, program, (SAME, BY_EXEMPLAR, READ, SAME), (BY_EXEMPLAR, CHAIN))
    return everywhere(unet, x_eyxc, known, inputs)
