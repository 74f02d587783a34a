"""Intervals for means over exemplars."""

from __future__ import annotations

import numpy as np

FEWEST = 5
"""Exemplars for which an interval is given."""


def interval(values: np.ndarray, *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """The bootstrap percentile interval (low, high) of a mean over exemplars.

    Exemplars are drawn, not pictures: an exemplar's variations depend on each other.

    Args:
        values: one an exemplar, (e,), e >= 1; for a paired comparison the differences.
        level: above 0 and below 1.
        draws: 1 or more.
        seed: of NumPy's generator, 0 or more.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    picks = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    low, high = np.quantile(np.asarray(values)[picks].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
