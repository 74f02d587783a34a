"""RIVAL against each baseline on held-out exemplars: palette, text and image alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np

from rival_jax.baselines.methods import METHODS, Task
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.scores import measure
from rival_jax.metrics.statistics import interval
from rival_jax.shapes import VariationPixels
from rival_jax.steps import Progress

_STEPS, _GUIDANCE, _TOGETHER = 50, 5.0, 16
_SHOWN = {
    "palette": ("palette distance (lower is better)", -1),
    "text": ("text alignment (higher)", 1),
    "image": ("image alignment (higher)", 1),
    "diversity": ("diversity (higher)", 1),
}
"""Headings, and the sign of what is better."""


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
        return {key: scores[key].tolist() for key in _SHOWN}

    asked = [len(captions), experiment.num_variations, _STEPS, _GUIDANCE, pipe.dtype]
    rows = {name: (["baselines", name, *asked], partial(measured, draw)) for name, draw in METHODS.items()}
    return experiment.rows("baselines", rows, progress)


def baselines_markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A table of them; intervals are of the paired differences to the first row, a * where a baseline is better."""
    headings = [heading for heading, _ in _SHOWN.values()]
    lines = [f"| method | {' | '.join(headings)} |", "|---" * (1 + len(headings)) + "|"]
    base = next(iter(results.values()))
    for name, scores in results.items():
        cells = []
        for key, (_, sign) in _SHOWN.items():
            own = scores[key]
            if np.isnan(own).all():
                cells.append("-")
                continue
            low, high = interval(own - base[key])
            wins = low > 0 if sign > 0 else high < 0
            apart = "" if scores is base else f" [{low:+.3f}, {high:+.3f}]{'*' * wins}"
            cells.append(f"{own.mean():.3f}{apart}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    legend = (
        "In brackets the 95 % bootstrap interval of the paired difference to RIVAL, with a * where the baseline is "
        "better. MasaCtrl and Plug-and-Play know one picture of an exemplar, which has no diversity."
    )
    return "\n".join(lines) + f"\n\n{legend}\n"
