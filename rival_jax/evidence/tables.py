"""What was measured, as tables: each row beside the paper's figures, with its difference from a base row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rival_jax.evidence.scores import MEASURES
from rival_jax.evidence.settings import Setting
from rival_jax.metrics.statistics import FEWEST, interval

UNITS = {"VAE": ".1f", "inversion": ".1f", "object recognised": ".1%", "colour recognised": ".1%", "KID x 1000": ".1f"}
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


_LEGEND = """
Means over exemplars; in brackets the 95 % bootstrap interval of the paired difference to the row named under "against",
with a * where it excludes 0. palette: distance to the exemplar's (smaller is nearer); text, image: the judge's cosines;
diversity: 1 - cosine among an exemplar's variations; blown: share of pixels at an end of the scale less the exemplar's.
"""


def markdown(settings: tuple[Setting, ...], results: Results) -> str:
    """A table with one row a setting: the paper's figures | ours, each mean with its paired difference's interval."""
    lines = [
        "| setting | against | paper: palette / text / image | " + " | ".join(MEASURES) + " |",
        "|---" * (3 + len(MEASURES)) + "|",
    ]
    for setting in settings:
        against = setting.against or settings[0].name
        base = "-" if against == setting.name else against
        paper = " / ".join(f"{value:.3f}" for value in setting.paper) if setting.paper else "-"
        cells = [_cell(results[setting.name][name], results[against][name]) for name in MEASURES]
        lines.append(f"| {setting.name} | {base} | {paper} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n" + _LEGEND + _ratio(results)


def _ratio(results: Results) -> str:
    """The paper's headline, where both rows are there: 1.810 / 3.917."""
    if not {"baseline", "full"} <= results.keys():
        return ""
    full, baseline = (results[name]["palette"].mean() for name in ("full", "baseline"))
    return f"\nPalette distance, full / baseline: {full / baseline:.2f} (paper 0.46).\n"


def quality_markdown(figures: Mapping[str, float]) -> str:
    """The model's own figures beside what it was trained to reach."""
    lines = ["| figure | wanted | measured |", "|---|---|---|"]
    for name, value in figures.items():
        unit, wanted = UNITS[name.split(",")[0]], WANTED.get(name)
        lines.append(f"| {name} | {f'at least {wanted:{unit}}' if wanted else '-'} | {value:{unit}} |")
    return "\n".join(lines) + "\n"


def _cell(values: np.ndarray, base: np.ndarray) -> str:
    """A mean, and the interval of its difference where there are enough exemplars to speak of one."""
    mean = f"{values.mean():.3f}" if np.isfinite(values).all() else "-"
    if values.size < FEWEST or (values == base).all() or mean == "-":
        return mean
    low, high = interval(values - base)
    clear = "*" if low > 0 or high < 0 else ""
    return f"{mean} [{low:+.3f}, {high:+.3f}]{clear}"
