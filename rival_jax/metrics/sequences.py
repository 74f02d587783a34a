"""How evenly and how little a sequence of pictures changes from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rival_jax.errors import InputError


@dataclass(frozen=True)
class SequenceScores:
    """How a sequence of n pictures changes.

    smoothness: 1 less the Gini coefficient of neighbours' distances, 1 / (n - 1) ... 1, higher is more even.
    consistency, largest: mean and largest distance, 0 or more, lower is closer.
    degenerate: whether all distances are 0.
    """

    smoothness: float
    consistency: float
    largest: float
    degenerate: bool


def sequence_scores(distances: np.ndarray) -> SequenceScores:
    """Of the `distances` (n - 1,), 0 or more, between neighbours of n >= 2 pictures.

    Raises InputError where there are none. Source: AID section 4.1; distances that are all 0 are smooth.
    """
    distances = np.asarray(distances, np.float64)
    if distances.ndim != 1 or not len(distances):
        raise InputError("A sequence needs at least 2 pictures to be measured.")
    mean = float(distances.mean())
    gini = 0.0
    if mean > 0:
        apart = np.abs(distances[:, None] - distances[None]).sum()
        gini = float(apart / (2 * len(distances) ** 2 * mean))
    return SequenceScores(1 - gini, mean, float(distances.max()), mean == 0)
