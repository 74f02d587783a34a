"""Is interpolated attention smoother, more consistent and more faithful than what it is compared with?"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.alignment import initial_latents
from rival_jax.codec import decode
from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.sequences import measure_sequences
from rival_jax.generation import trajectory
from rival_jax.pipeline import RivalPipeline
from rival_jax.stages import Stage
from rival_jax.steps import Progress, silent
from rival_jax.training import world

_SEED = 6_000_003
"""Of scenes that no training draws."""
_STEPS, _GUIDANCE, _FRAMES = 25, 7.5, 7
_EVEN = np.linspace(0, 1, _FRAMES)
_SETTINGS: dict[str, dict] = {
    "TEI: prompts interpolated": {"warmup_ratio": 0.0, "coefficients": _EVEN},
    "AID-O": {"kind": "outer", "coefficients": "search"},
    "AID-I": {"kind": "inner", "coefficients": "search"},
    "AID-O without fusion": {"kind": "outer", "fused": False, "coefficients": "search"},
    "AID-O without Beta": {"kind": "outer", "coefficients": _EVEN},
    "AID-I without Beta": {"kind": "inner", "coefficients": _EVEN},
    "TEI with Beta": {"warmup_ratio": 0.0, "coefficients": "beta", "alpha": 3.0, "beta": 3.0},
    "AID-O, explored": {"kind": "outer", "coefficients": "explore"},
}
DI = "DI: prompt switched"


def prompt_pairs(count: int) -> tuple[list[str], list[str]]:
    """Captions of two scenes each."""
    scenes = [world.sample_scene(np.random.default_rng([_SEED, i]), graded=False) for i in range(2 * count)]
    captions = [world.describe(scene) for scene in scenes]
    return captions[::2], captions[1::2]


def denoising_interpolation(
    pipe: RivalPipeline, starts: list[str], ends: list[str], coefficients: np.ndarray, steps: int, guidance_scale: float
) -> np.ndarray:
    """Pictures (E, n, H, W, 3) uint8 whose prompt is switched on the way: step i has the start's while i < T (1 - t).

    Source: AID section 4.1, DI.
    """
    pairs, shape = len(starts), pipe.latent_shape(pipe.size, pipe.size)
    size, plan = (pipe.size, pipe.size), Stage("plain", "none", 0, pipe.attention)
    with pipe.precision():
        negative = pipe.embed(("",) * pairs, size)

        def course(prompts: list[str]) -> Course:
            own = pipe.embed(tuple(prompts), size)
            blank, guidance = jnp.zeros((steps + 1, pairs, *shape)), np.full((pairs, 1), guidance_scale, np.float32)
            return Course(blank, Conditioning.stacked([own, negative, own, negative]), guidance)

        seeds = jnp.arange(pairs, dtype=jnp.uint32)
        noise = initial_latents(jnp.zeros((pairs, *shape)), seeds, initial="random", num_variations=1)

        def drawn(own: Course, latents: jax.Array, count: int) -> jax.Array:
            return trajectory((pipe.unet,), pipe.schedule, own, latents, [(plan, count)], progress=silent)

        seen, last, frames = drawn(course(starts), noise, steps), course(ends), []
        for t in coefficients:
            switched = math.ceil(steps * (1 - t))
            final = drawn(last, seen[steps - switched], steps - switched)[0]
            frames.append(np.asarray(decode(pipe.vae, final)))
    return np.concatenate(frames, axis=1)


def interpolating(experiment: Experiment, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
    """By method: `measure_sequences` of one sequence a pair of prompts, (e,) each."""
    pipe, judge, count = experiment.pipe, experiment.judge, len(experiment.captions)
    starts, ends = prompt_pairs(count)
    shared = {"num_inference_steps": _STEPS, "guidance_scale": _GUIDANCE, "warmup_ratio": 1.0, "seed": range(count)}

    def drawn(options: dict) -> np.ndarray:
        return pipe.interpolate(starts, ends, _FRAMES, distance=judge.distance, **shared | options).images

    methods: dict[str, Callable[[], np.ndarray]] = {name: partial(drawn, own) for name, own in _SETTINGS.items()}
    methods[DI] = partial(denoising_interpolation, pipe, starts, ends, _EVEN, _STEPS, _GUIDANCE)
    question = [count, _STEPS, _GUIDANCE, _FRAMES, pipe.dtype]

    def measured(draw: Callable[[], np.ndarray]) -> dict[str, list[float]]:
        return measure_sequences(judge, draw())

    rows = {name: (["interpolating", name, *question], partial(measured, draw)) for name, draw in methods.items()}
    return experiment.rows("interpolation", rows, progress)
