"""What one run is made of, each part timed by itself: several runs after one that is not counted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rival_jax.alignment import initial_latents
from rival_jax.bench.flops import of_ours
from rival_jax.codec import decode, encode
from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.devices import BY_EXEMPLAR, mesh_for, place
from rival_jax.evidence.settings import PAPER
from rival_jax.inversion import ascend
from rival_jax.pipeline import RivalPipeline
from rival_jax.reading import read
from rival_jax.sampling import descend, prepared
from rival_jax.stages import Stage, stages
from rival_jax.steps import Progress, chunks

PROMPT = "a red house on green grass"
_PEAK_SIDE = {"cpu": 2048}
"""Side of the square matrices whose product measures a device's peak; 8192 on others."""
_PRODUCTS = 10
"""Of one timing, so that the call itself does not count."""


@dataclass(frozen=True)
class Workload:
    """What is run: E exemplars x N variations in T steps; height and width in pixels."""

    exemplars: int
    num_variations: int
    num_inference_steps: int
    height: int
    width: int

    def photos(self) -> np.ndarray:
        """Smooth noise (E, H, W, 3) uint8: any picture takes as long."""
        small = np.random.default_rng(0).integers(0, 256, (self.exemplars, 8, 8, 3), np.uint8).astype(np.float32)
        shape = self.exemplars, self.height, self.width, 3
        return np.asarray(jax.image.resize(small, shape, "linear"), np.uint8)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of `vary`: the paper's."""
        return PAPER | {"num_variations": self.num_variations, "num_inference_steps": self.num_inference_steps}


@dataclass(frozen=True)
class Timing:
    """Seconds of each run, and the operations of one."""

    seconds: tuple[float, ...]
    flops: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def timed(run: Callable[[], Any], repeats: int) -> tuple[float, ...]:
    """Seconds of `repeats` runs, after one more that is not counted; until the results are there."""
    jax.block_until_ready(run())
    return tuple(once(run) for _ in range(repeats))


def once(run: Callable[[], Any]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def peak(dtype: str, repeats: int) -> float:
    """Operations a second of large matrix products in `dtype`, one after the other: one device's, times the devices."""
    devices = jax.local_devices()
    side = _PEAK_SIDE.get(devices[0].platform, 8192)

    @jax.jit
    def products(x: jax.Array, matrix: jax.Array) -> jax.Array:
        return lax.fori_loop(0, _PRODUCTS, lambda _, x: x @ matrix, x)

    with jax.default_matmul_precision("highest" if dtype == "float32" else "default"):
        numbers = np.random.default_rng(0).standard_normal((side, side), np.float32)
        matrix = jax.device_put(numbers * side**-0.5, devices[0]).astype(dtype)  # products neither grow nor die out
        fastest = min(timed(lambda: products(matrix, matrix), repeats))
    return (1 if devices[0].platform == "cpu" else len(devices)) * _PRODUCTS * 2 * side**3 / fastest


def measure(pipe: RivalPipeline, work: Workload, repeats: int, progress: Progress) -> dict[str, Timing]:
    """Seconds and operations of an inversion step, of a step of either kind, of the autoencoder, and of everything.

    And the rest: what of everything is none of these, which is reading prompts, the first latents, and the host.
    """
    n, steps = work.num_variations, work.num_inference_steps
    counted = of_ours(pipe, n, work.height, work.width)
    timings = {}
    with pipe.precision():
        parts = _parts(pipe, work)
        for number, (name, (run, times)) in enumerate(parts.items()):
            seconds = timed(run, repeats)
            flops = work.exemplars * getattr(counted, _COUNTED[name]) * (n if name == "VAE decode" else 1)
            timings[name] = Timing(tuple(second / times for second in seconds), flops)
            progress("stages", number + 1, len(parts) + 1)
    replaced = sum(count for stage, count in paper_stages(pipe, steps) if stage.attention == "replace")
    total = timed(lambda: pipe.vary(work.photos(), PROMPT, **work.arguments).latents, repeats)
    timings["end to end"] = Timing(total, work.exemplars * counted.run(replaced, steps - replaced, n))
    times = {"inversion step": steps, "replace step": replaced, "concat step": steps - replaced}
    inside = sum(times.get(name, 1) * timings[name].median for name in parts)
    timings["the rest"] = Timing((timings["end to end"].median - inside,), 0)
    progress("stages", len(parts) + 1, len(parts) + 1)
    return timings


_COUNTED = {
    "inversion step": "inversion_step",
    "replace step": "replace_step",
    "concat step": "concat_step",
    "VAE encode": "encode",
    "VAE decode": "decode",
}


def _parts(pipe: RivalPipeline, work: Workload) -> dict[str, tuple[Callable[[], Any], int]]:
    """Programs on arguments that are where they belong, each with the number of steps that it takes."""
    e, n = work.exemplars, work.num_variations
    length = chunks(work.num_inference_steps)[1]
    pixels, told = work.photos(), pipe.embed((PROMPT,) * e, (work.height, work.width))
    chain = pipe.invert(pixels, PROMPT, length)
    latents, sizes = jnp.asarray(chain.latents), {"exemplars": e, "variations": n}
    start = initial_latents(latents[-1], np.arange(e, dtype=np.uint32), initial="shuffle", num_variations=n)
    course = Course(latents, Conditioning.stacked([told] * 4), np.full((e, n), 7.0, np.float32))
    networks = (pipe.unet,)
    state, *constants = prepared(networks, pipe.schedule, course, start, sizes=sizes)
    common = {"length": length, "prediction_type": pipe.schedule.prediction_type, "mesh": mesh_for(e, n)}

    def steps_of(stage: Stage) -> Callable[[], Any]:
        return partial(descend, networks, state, np.int32(length), *constants, stage=stage, **common)

    mesh = mesh_for(e)
    known = read(pipe.unet, place(mesh, told, BY_EXEMPLAR), pipe.schedule.timesteps(length), mesh=mesh)
    levels, indices = pipe.schedule.levels(length), np.arange(length)
    inputs = indices, indices, levels[:-1], levels[1:]
    static = {"prediction_type": pipe.schedule.prediction_type, "keep": False, "fixed_point_steps": 0}
    static |= {"backend": pipe.attention, "mesh": mesh}
    clean = place(mesh, latents[0], BY_EXEMPLAR)
    return {
        "inversion step": (
            partial(ascend, pipe.unet, clean, known, inputs, **static),
            length,
        ),
        "replace step": (steps_of(Stage("replace", "noise", 1, pipe.attention)), length),
        "concat step": (steps_of(Stage("concat", "none", 1, pipe.attention)), length),
        "VAE encode": (partial(encode, pipe.vae, pixels), 1),
        "VAE decode": (partial(decode, pipe.vae, start), 1),
    }


def paper_stages(pipe: RivalPipeline, steps: int) -> list[tuple[Stage, int]]:
    """The stages of the paper's arguments."""
    boundaries = {name: float(PAPER[name]) for name in ("t_align", "t_early", "attention_start")}
    kinds = {name: PAPER[name] for name in ("align", "reference")}
    return stages(pipe.schedule.timesteps(steps), **boundaries, **kinds)
