"""The table of methods beside each other: `rival compare` and `rival reproduce baselines`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rival_jax.metrics.statistics import FEWEST, interval

MEASURES = {
    "palette": ("palette distance (lower is better)", -1),
    "text": ("text alignment (higher)", 1),
    "image": ("image alignment (higher)", 1),
    "diversity": ("diversity (higher)", 1),
}
"""Of `rival_jax.evidence.scores`: their headings, and the sign of what is better."""


def markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """Means over exemplars, a row a method, of values (e,) of each of MEASURES.

    With enough exemplars each mean has the interval of its paired difference to the first row.
    """
    headings = [heading for heading, _ in MEASURES.values()]
    lines = [f"| method | {' | '.join(headings)} |", "|---" * (1 + len(headings)) + "|"]
    first, *_ = results.values()
    for name, scores in results.items():
        cells = [_cell(scores[key], first[key], sign) for key, (_, sign) in MEASURES.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    legend = "Means over exemplars; MasaCtrl and Plug-and-Play know one picture of each, which has no diversity."
    if len(first["palette"]) >= FEWEST:
        legend += (
            " In brackets the 95 % bootstrap interval of the paired difference to the first row, with a * where that "
            "row is beaten."
        )
    return "\n".join(lines) + f"\n\n{legend}\n"


def _cell(values: np.ndarray, base: np.ndarray, sign: int) -> str:
    if np.isnan(values).all():
        return "-"
    mean = f"{values.mean():.3f}"
    if values is base or len(values) < FEWEST:
        return mean
    low, high = interval(values - base)
    better = low > 0 if sign > 0 else high < 0
    return f"{mean} [{low:+.3f}, {high:+.3f}]{'*' * better}"
