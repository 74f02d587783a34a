"""The Beta distribution under which three frames are spaced most evenly, found by Bayesian optimisation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from rival_jax.errors import InputError
from rival_jax.interpolation.coefficients import beta_coefficients
from rival_jax.interpolation.exploration import Asking, Distance
from rival_jax.metrics.sequences import sequence_scores

_GOOD, _ITERATIONS, _SEED = 0.9, 15, 1
_SHRINK, _NARROWEST = 0.9, 0.1
"""Of the searched domain: an iteration's share of the last one's, and where it ends."""
_BOLDNESS, _NOISE, _CANDIDATES = 2.6, 1e-6, 1000


def search_beta(distance: Distance, largest: float) -> Asking[Any, tuple[float, float]]:
    """The alpha and beta, 1 ... `largest`, with the smoothest start, middle and end; at once where it reaches 0.9.

    Args:
        distance: as for `explore`.
        largest: above 1; AID has the number of steps that interpolate.

    No frame is made where none is needed: where both are equal, and on the side that makes it worse.
    Raises InputError for a `largest` out of its range. Source: AID section 3.3: a grid of nine, then at most 15
    iterations of Bayesian optimisation in a domain that shrinks around the best. Differs: the acquisition is an upper
    confidence bound over a Gaussian process of our own.
    """
    if not 1 < largest < np.inf:
        raise InputError(
            f"The largest alpha and beta are {largest!r}, but must be above 1: have more steps interpolate."
        )
    return _searching(distance, float(largest))


def _searching(distance: Distance, largest: float) -> Asking[Any, tuple[float, float]]:
    ends = ((yield 0.0), (yield 1.0))
    middle = yield 0.5
    even = np.array([distance(end, middle) for end in ends])
    known: dict[tuple[float, float], float] = {}
    for alpha, beta in _points(known, largest):
        if alpha == beta:
            smoothness = sequence_scores(even).smoothness
        elif (even[0] < even[1]) != (alpha > beta):
            smoothness = 0.0
        else:
            frame = yield float(beta_coefficients(3, alpha, beta)[1])
            smoothness = sequence_scores(np.array([distance(end, frame) for end in ends])).smoothness
        known[alpha, beta] = smoothness
        if smoothness >= _GOOD:
            return alpha, beta
    return max(known, key=known.__getitem__)


def _points(known: dict[tuple[float, float], float], largest: float) -> Iterator[tuple[float, float]]:
    """Where to look next, given what is `known` by then."""
    grid = (1.0, (1 + largest) / 2, largest)
    yield from product(grid, grid)
    rng, width = np.random.default_rng(_SEED), largest - 1.0
    for _ in range(_ITERATIONS):
        points, scores = np.array(list(known)), np.array(list(known.values()))
        width = max(width * _SHRINK, min(_NARROWEST, largest - 1.0))
        low = np.clip(points[scores.argmax()] - width / 2, 1.0, largest - width)
        bounds = np.stack([low, low + width], axis=1)
        alpha, beta = map(float, _promising(points, scores, bounds, largest - 1.0, rng))
        yield alpha, beta


def _promising(
    points: np.ndarray, scores: np.ndarray, bounds: np.ndarray, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Where, within bounds (2, 2), a Gaussian process through scores (p,) at points (p, 2) may be highest."""

    def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r = np.sqrt(5) * np.linalg.norm((a[:, None] - b[None]) * 4 / scale, axis=-1)
        return (1 + r + r**2 / 3) * np.exp(-r)

    mean, spread = scores.mean(), max(scores.std(), 1e-9)
    factor = cho_factor(covariance(points, points) + _NOISE * np.eye(len(points)), lower=True)
    weights = cho_solve(factor, (scores - mean) / spread)

    def hopeless(where: np.ndarray) -> np.ndarray:
        cross = covariance(np.atleast_2d(where), points)
        variance = 1 - (cross * cho_solve(factor, cross.T).T).sum(axis=1)
        return -(cross @ weights + _BOLDNESS * np.sqrt(np.maximum(variance, 0)))

    candidates = rng.uniform(bounds[:, 0], bounds[:, 1], (_CANDIDATES, 2))
    start = candidates[hopeless(candidates).argmin()]
    refined = minimize(lambda where: hopeless(where)[0], start, bounds=bounds, method="L-BFGS-B").x
    return refined
