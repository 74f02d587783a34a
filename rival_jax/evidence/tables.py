"""What was measured, as tables: each row beside the paper's figures, with its difference from a base row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rival_jax.evidence.scores import MEASURES
from rival_jax.evidence.settings import Setting
from rival_jax.metrics.statistics import interval

UNITS = {"VAE": ".1f", "inversion": ".1f", "object recognised": ".1%", "colour recognised": ".1%", "KID": ".4f"}
"""How a kind of figure is written; decibels, shares, and the kernel distance."""
WANTED = {
    "VAE, world": 27,
    "VAE, photos": 22,
    "inversion, world": 35,
    "inversion, exemplars": 27,
    "object recognised, made": 0.85,
    "colour recognised, made": 0.95,
}

Results = Mapping[str, Mapping[str, np.ndarray]]


def markdown(settings: tuple[Setting, ...], results: Results, against: str) -> str:
    """A table with one row a setting: paper | ours, and below each mean the 95 % interval of its paired difference to
    the row named `against`."""
    lines = [
        "| setting | paper: palette / text / image | " + " | ".join(MEASURES) + " |",
        "|---" * (2 + len(MEASURES)) + "|",
    ]
    for setting in settings:
        paper = " / ".join(f"{value:.3f}" for value in setting.paper) if setting.paper else "-"
        cells = [_cell(results[setting.name][name], results[against][name]) for name in MEASURES]
        lines.append(f"| {setting.name} | {paper} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def quality_markdown(figures: Mapping[str, float]) -> str:
    """The model's own figures beside what it was trained to reach."""
    lines = ["| figure | wanted | measured |", "|---|---|---|"]
    for name, value in figures.items():
        unit, wanted = UNITS[name.split(",")[0]], WANTED.get(name)
        lines.append(f"| {name} | {f'at least {wanted:{unit}}' if wanted else '-'} | {value:{unit}} |")
    return "\n".join(lines) + "\n"


def _cell(values: np.ndarray, base: np.ndarray) -> str:
    mean = f"{values.mean():.3f}"
    if values is base:
        return mean
    low, high = interval(values - base)
    clear = "*" if low > 0 or high < 0 else ""
    return f"{mean} [{low:+.3f}, {high:+.3f}]{clear}"
