"""RIVAL against each baseline on held-out exemplars: palette, text and image alignment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from rival_jax.baselines.methods import METHODS, Task
from rival_jax.baselines.table import MEASURES
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.scores import measure
from rival_jax.shapes import VariationPixels
from rival_jax.steps import Progress

_STEPS, _GUIDANCE, _TOGETHER = 50, 5.0, 16


def baselines(experiment: Experiment, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
    """By method: palette distance, alignments and diversity, (e,) each."""
    pipe, exemplars, captions = experiment.pipe, experiment.exemplars, experiment.captions
    starts = range(0, len(captions), _TOGETHER)

    @cache
    def task(start: int) -> Task:
        rows = slice(start, start + _TOGETHER)
        chain = pipe.invert(exemplars[rows], list(captions[rows]), _STEPS)
        seeds = range(start, start + len(captions[rows]))
        return Task(pipe, chain, captions[rows], experiment.num_variations, _GUIDANCE, seeds)

    def measured(draw: Callable[[Task], VariationPixels]) -> dict[str, list[float]]:
        images = np.concatenate([draw(task(start)) for start in starts])
        scores = measure(experiment.judge, exemplars, captions, images)
        return {key: scores[key].tolist() for key in MEASURES}

    asked = [len(captions), experiment.num_variations, _STEPS, _GUIDANCE, pipe.dtype]
    rows = {name: (["baselines", name, *asked], partial(measured, draw)) for name, draw in METHODS.items()}
    return experiment.rows("baselines", rows, progress)
