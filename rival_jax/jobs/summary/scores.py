"""Distributions of scores over any number of rows, in little memory."""

from __future__ import annotations

from collections import Counter

from rival_jax.jobs.rows import Row

_COLUMNS = ("psnr", "nsfw_score", "label_score", "distance")
_PERCENTILES = (5, 25, 50, 75, 95)
_DIGITS = 3


class Scores:
    """Counts of each score's values, to three digits after the point."""

    def __init__(self):
        self._counts: dict[str, Counter[float]] = {column: Counter() for column in _COLUMNS}

    def add(self, row: Row) -> None:
        """Counts a row's scores, as far as it has them."""
        for column, counts in self._counts.items():
            value = getattr(row, column)
            if value is not None:
                counts[round(value, _DIGITS)] += 1

    def summary(self) -> dict[str, dict[str, float]]:
        """Count, mean, least, greatest value and percentiles (nearest rank) of each score that any row has."""
        return {column: _summary(counts) for column, counts in self._counts.items() if counts}


def _summary(counts: Counter[float]) -> dict[str, float]:
    values, total = sorted(counts), counts.total()
    summary = {
        "count": total,
        "mean": round(sum(value * counts[value] for value in values) / total, _DIGITS),
        "min": values[0],
        "max": values[-1],
    }
    return summary | {f"p{percent}": _percentile(values, counts, percent) for percent in _PERCENTILES}


def _percentile(values: list[float], counts: Counter[float], percent: int) -> float:
    """The least value that this share of all is not above."""
    below = 0
    for value in values:
        below += counts[value]
        if 100 * below >= percent * counts.total():
            return value
    return values[-1]
