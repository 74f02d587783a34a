"""Sequences of pictures, measured: how evenly and how little they change, and how like their ends they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rival_jax.metrics.features import kid
from rival_jax.metrics.judge import Judge
from rival_jax.metrics.palette import palette_distance
from rival_jax.metrics.sequences import sequence_scores
from rival_jax.metrics.statistics import interval

HEADINGS = {
    "smoothness": "smoothness (higher is better)",
    "consistency": "consistency (lower)",
    "fidelity": "KID x 1000 (lower)",
    "colour": "palette steps, mean (lower)",
    "jump": "palette steps, largest (lower)",
}
_COLOURS = ("colour", "jump")
"""Measures of palettes."""


def measure_sequences(judge: Judge, pictures: np.ndarray, *, colours: bool = False) -> dict[str, list[float]]:
    """Of sequences (e, n, H, W, 3) uint8: one value a sequence. Those of `colours` take seconds a hundred pictures."""
    seen = judge.embed_images(pictures.reshape(-1, *pictures.shape[2:])).reshape(*pictures.shape[:2], -1)
    scores = [sequence_scores(np.maximum(row, 0)) for row in 1 - (seen[:, :-1] * seen[:, 1:]).sum(axis=-1)]
    found = {
        "smoothness": [own.smoothness for own in scores],
        "consistency": [own.consistency for own in scores],
        "fidelity": (1000 * fidelity(seen)).tolist(),
    }
    if not colours:
        return found
    steps = [[palette_distance(*pair) for pair in zip(row[:-1], row[1:], strict=True)] for row in pictures]
    return found | dict(zip(_COLOURS, (np.mean(steps, axis=1).tolist(), np.max(steps, axis=1).tolist()), strict=True))


def fidelity(seen: np.ndarray) -> np.ndarray:
    """KID of all frames between to all ends, as what each sequence (e,) has to say of it; of features (e, n, d).

    The mean is the jackknife's estimate, and its interval follows from these values as if it were theirs.
    Source: Tukey's pseudo-values.
    """

    def of(rows: np.ndarray) -> float:
        ends, between = (x.reshape(-1, x.shape[-1]) for x in (rows[:, [0, -1]], rows[:, 1:-1]))
        return kid(ends, between)

    count = len(seen)
    return count * of(seen) - (count - 1) * np.array([of(np.delete(seen, i, axis=0)) for i in range(count)])


def sequences_markdown(results: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """A table of them; intervals are of the paired differences to the first row."""
    base = next(iter(results.values()))
    headings = [heading for measure, heading in HEADINGS.items() if measure in base]
    lines = [f"| method | {' | '.join(headings)} |", "|---" * (1 + len(headings)) + "|"]
    for name, scores in results.items():
        cells = []
        for measure in base:
            low, high = interval(scores[measure] - base[measure])
            apart = "" if scores is base else f" [{low:+.3f}, {high:+.3f}]{'*' * (low > 0 or high < 0)}"
            cells.append(f"{scores[measure].mean():.3f}{apart}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    legend = (
        "Distances are 1 - the judge's cosine; in brackets the 95 % bootstrap interval of the paired difference to the "
        "first row, with a * where it excludes 0. KID is of all frames between to all ends; its values a sequence are "
        "the jackknife's."
    )
    return "\n".join(lines) + f"\n\n{legend}\n"
