"""How well photos come back: other steps, spacings and solvers, refined inversion, and guidance with null text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.quality import through_autoencoder
from rival_jax.evidence.store import digest_of
from rival_jax.images import psnr
from rival_jax.metrics.statistics import interval
from rival_jax.options import Solver, TimestepConvention
from rival_jax.steps import Progress


@dataclass(frozen=True)
class Way:
    """Up the chain and down again."""

    name: str
    steps: int = 50
    spacing: Literal["leading", "trailing", "linspace"] = "leading"
    convention: TimestepConvention = "target"
    fixed_point_steps: int = 0
    solver: Solver = "ddim"
    guidance: float = 1.0
    null_text: bool = False


WAYS = (
    Way("DDIM, 50 steps"),
    Way("30 steps", steps=30),
    Way("10 steps", steps=10),
    Way("spacing trailing", spacing="trailing"),
    Way("spacing linspace", spacing="linspace"),
    Way("current timestep (Eq. 5)", convention="current"),
    Way("refined once", fixed_point_steps=1),
    Way("refined twice", fixed_point_steps=2),
    Way("10 steps, refined twice", steps=10, fixed_point_steps=2),
    Way("down by DPM-Solver++ (2M)", solver="dpm++"),
    Way("refined twice, down by DPM-Solver++ (2M)", fixed_point_steps=2, solver="dpm++"),
    Way("guidance 7, empty prompt", guidance=7.0),
    Way("guidance 7, null text", guidance=7.0, null_text=True),
)
"""The first is what the others are compared with."""


def returning(experiment: Experiment, progress: Progress) -> dict[str, dict[str, np.ndarray]]:
    """Decibels (e,) by way, between what comes back and the exemplars, and what the autoencoder makes of them."""
    pipe = experiment.pipe
    pictures, captions = experiment.exemplars, list(experiment.captions)

    def measured(way: Way) -> dict[str, list[float]]:
        spaced = replace(pipe, schedule=replace(pipe.schedule, timestep_spacing=way.spacing))
        refined = way.fixed_point_steps
        chain = spaced.invert(pictures, captions, way.steps, way.convention, fixed_point_steps=refined)
        if way.null_text:
            chain = spaced.optimise_null_text(chain, way.guidance)
        back = spaced.reconstruct(chain, way.guidance, way.solver)
        decoded = through_autoencoder(pipe, pictures)
        return {"exemplar": psnr(pictures, back).tolist(), "autoencoder": psnr(decoded, back).tolist()}

    asked = {way.name: ["returning", *vars(way).values(), digest_of(pictures), captions, pipe.dtype] for way in WAYS}
    rows = {way.name: (asked[way.name], partial(measured, way)) for way in WAYS}
    return experiment.rows("inversion", rows, progress)


def returning_markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A table of them."""
    base = next(iter(results.values()))
    lines = [
        "| up and down again | dB to the exemplar | dB to the autoencoder's picture | difference |",
        "|---" * 4 + "|",
    ]
    for name, decibels in results.items():
        own = decibels["autoencoder"]
        low, high = interval(own - base["autoencoder"])
        difference = "-" if own is base["autoencoder"] else f"[{low:+.2f}, {high:+.2f}]"
        lines.append(f"| {name} | {decibels['exemplar'].mean():.2f} | {own.mean():.2f} | {difference} |")
    legend = 'Means over exemplars; "difference" is the 95 % bootstrap interval of the paired one to the first row.'
    return "\n".join(lines) + f"\n\n{legend}\n"
