"""Intervals for means over exemplars."""

from __future__ import annotations

import numpy as np

FEWEST = 5
"""Exemplars for which an interval is given."""


def interval(values: np.ndarray, *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """The bootstrap percentile interval of the mean of one value an exemplar (e,).

    For a paired comparison give the differences. Exemplars are drawn, not pictures: an exemplar's variations depend on
    each other.
    """
    picks = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    low, high = np.quantile(np.asarray(values)[picks].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
