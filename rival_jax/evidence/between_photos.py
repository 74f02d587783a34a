"""Two photos' chains with what lies between them aligned, as RIVAL aligns to one: against interpolation alone."""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from rival_jax.chain import Chain
from rival_jax.evidence.exemplars import draw_exemplars
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.sequences import measure_sequences
from rival_jax.steps import Progress

_STEPS, _FRAMES = 30, 7
_EVEN = np.linspace(0, 1, _FRAMES)
_SETTINGS: dict[str, dict] = {
    "AID-O": {"align": "none"},
    "aligned while t > 300": {"align": "latent", "t_early": 300},
    "aligned to the end": {"align": "latent"},
    "warm-up 1": {"warmup_ratio": 1.0, "align": "none"},
    "warm-up 1, aligned while t > 300": {"warmup_ratio": 1.0, "align": "latent", "t_early": 300},
    "warm-up 1, aligned to the end": {"warmup_ratio": 1.0, "align": "latent"},
    "pure, aligned while t > 300": {"fused": False, "align": "latent", "t_early": 300},
    "explored": {"coefficients": "explore", "align": "none"},
    "explored, aligned to the end": {"coefficients": "explore", "align": "latent"},
    "explored, warm-up 1, aligned to the end": {"coefficients": "explore", "warmup_ratio": 1.0, "align": "latent"},
}


def between_photos(experiment: Experiment, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
    """By setting: `measure_sequences` of one sequence a pair of held-out exemplars, (e,) each."""
    pipe, judge, count = experiment.pipe, experiment.judge, len(experiment.captions)
    pictures, captions = draw_exemplars(2 * count, pipe.size)

    @cache
    def chains() -> list[Chain]:
        return [pipe.invert(pictures[side::2], captions[side::2], _STEPS) for side in (0, 1)]

    def measured(options: dict) -> dict[str, list[float]]:
        settings = {"coefficients": _EVEN, "distance": judge.distance} | options
        start, end = chains()
        return measure_sequences(judge, pipe.interpolate(start, end, _FRAMES, **settings).images, colours=True)

    question = [count, _STEPS, _FRAMES, pipe.dtype]
    rows = {name: (["between photos", name, *question], partial(measured, own)) for name, own in _SETTINGS.items()}
    return experiment.rows("between photos", rows, progress)
