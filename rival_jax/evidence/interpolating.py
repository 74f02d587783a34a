"""Is interpolated attention smoother, more consistent and more faithful than what it is compared with?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.alignment import initial_latents
from rival_jax.codec import decode
from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.evidence.experiment import Experiment
from rival_jax.generation import trajectory
from rival_jax.metrics.kid import kid
from rival_jax.metrics.sequences import sequence_scores
from rival_jax.metrics.statistics import interval
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


def fidelity(seen: np.ndarray) -> np.ndarray:
    """KID of all frames between to all ends, as what each sequence (e,) has to say of it; of features (e, n, d).

    The mean is the jackknife's estimate, and its interval follows from these values as if it were theirs.
    Source: Tukey's pseudo-values.
    """

    def of(rows: np.ndarray) -> float:
        ends, between = (x.reshape(-1, x.shape[-1]) for x in (rows[:, [0, -1]], rows[:, 1:-1]))
        return kid(ends, between)

    count = len(seen)
    return count * of(seen) - (count - 1) * np.array([of(np.delete(seen, i, axis=0)) for i in range(count)])


def interpolating(experiment: Experiment, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
    """By method: smoothness and consistency of sequences and `fidelity` to their ends, (e,) each."""
    pipe, judge, count = experiment.pipe, experiment.judge, len(experiment.captions)
    starts, ends = prompt_pairs(count)
    shared = {"num_inference_steps": _STEPS, "guidance_scale": _GUIDANCE, "warmup_ratio": 1.0, "seed": range(count)}

    def drawn(options: dict) -> np.ndarray:
        return pipe.interpolate(starts, ends, _FRAMES, distance=judge.distance, **shared | options).images

    methods: dict[str, Callable[[], np.ndarray]] = {name: partial(drawn, own) for name, own in _SETTINGS.items()}
    methods[DI] = partial(denoising_interpolation, pipe, starts, ends, _EVEN, _STEPS, _GUIDANCE)
    results = {}
    for number, (name, draw) in enumerate(methods.items(), start=1):

        def measured(draw: Callable[[], np.ndarray] = draw) -> dict:
            pictures = draw()
            seen = judge.embed_images(pictures.reshape(-1, *pictures.shape[2:])).reshape(*pictures.shape[:2], -1)
            apart = 1 - (seen[:, :-1] * seen[:, 1:]).sum(axis=-1)
            scores = [sequence_scores(np.maximum(row, 0)) for row in apart]
            return {
                "smoothness": [own.smoothness for own in scores],
                "consistency": [own.consistency for own in scores],
                "fidelity": (1000 * fidelity(seen)).tolist(),
            }

        question = ["interpolating", name, count, _STEPS, _GUIDANCE, _FRAMES, pipe.dtype]
        kept = experiment.store.kept(name, question, measured)
        results[name] = {measure: np.asarray(values) for measure, values in kept.items()}
        progress("interpolation", number, len(methods))
    return results


def interpolating_markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A table of them; intervals are of the paired differences to the first row."""
    measures = "smoothness", "consistency", "fidelity"
    lines = ["| method | smoothness (higher is better) | consistency (lower) | KID x 1000 (lower) |", "|---" * 4 + "|"]
    base = next(iter(results.values()))
    for name, scores in results.items():
        cells = []
        for measure in measures:
            low, high = interval(scores[measure] - base[measure])
            apart = "" if scores is base else f" [{low:+.3f}, {high:+.3f}]{'*' * (low > 0 or high < 0)}"
            cells.append(f"{scores[measure].mean():.3f}{apart}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    legend = (
        "Distances are 1 - the judge's cosine; in brackets the 95 % bootstrap interval of the paired difference to the "
        "first row, with a * where it excludes 0. KID is of all frames between to all ends; its values a pair are the "
        "jackknife's."
    )
    return "\n".join(lines) + f"\n\n{legend}\n"
