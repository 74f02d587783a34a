"""The Beta distribution under which three frames are spaced most evenly, found by Bayesian optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from rival_jax.errors import InputError
from rival_jax.interpolation.coefficients import beta_coefficients
from rival_jax.interpolation.exploration import Distance, Render
from rival_jax.metrics.sequences import sequence_scores

_GOOD, _ITERATIONS, _SEED = 0.9, 15, 1
_SHRINK, _NARROWEST = 0.9, 0.1
"""Of the searched domain: an iteration's share of the last one's, and where it ends."""
_BOLDNESS, _NOISE, _CANDIDATES = 2.6, 1e-6, 1000


@dataclass
class _Objective:
    """Smoothness of start, middle and end as a function of (alpha, beta), and what of it is known."""

    render: Render
    distance: Distance
    ends: tuple[np.ndarray, np.ndarray]
    even: np.ndarray
    """(2,), distances of the frame at 1/2 to both ends."""
    known: dict[tuple[float, float], float] = field(default_factory=dict)

    def __call__(self, alpha: float, beta: float) -> float:
        """Without a frame where none is needed: in the even case, and on the side that makes it worse."""
        if (alpha, beta) not in self.known:
            self.known[alpha, beta] = self._score(alpha, beta)
        return self.known[alpha, beta]

    def _score(self, alpha: float, beta: float) -> float:
        if alpha == beta:
            return sequence_scores(self.even).smoothness
        if (self.even[0] < self.even[1]) != (alpha > beta):
            return 0.0
        frame = self.render(float(beta_coefficients(3, alpha, beta)[1]))
        return sequence_scores(np.array([self.distance(end, frame) for end in self.ends])).smoothness


def search_beta(render: Render, distance: Distance, largest: float) -> tuple[float, float]:
    """The alpha and beta, 1 ... `largest`, with the smoothest start, middle and end; at once where it reaches 0.9.

    Args:
        render, distance: as for `explore`.
        largest: above 1; AID has the number of steps that interpolate.

    Raises InputError for a `largest` out of its range. Source: AID section 3.3: a grid of nine, then at most 15
    iterations of Bayesian optimisation in a domain that shrinks around the best. Differs: the acquisition is an upper
    confidence bound over a Gaussian process of our own.
    """
    if not 1 < largest < np.inf:
        raise InputError(
            f"The largest alpha and beta are {largest!r}, but must be above 1: have more steps interpolate."
        )
    ends, middle = (render(0.0), render(1.0)), render(0.5)
    objective = _Objective(render, distance, ends, np.array([distance(end, middle) for end in ends]))
    grid = (1.0, (1 + largest) / 2, float(largest))
    for alpha, beta in product(grid, grid):
        if objective(alpha, beta) >= _GOOD:
            return alpha, beta
    rng, width = np.random.default_rng(_SEED), largest - 1.0
    for _ in range(_ITERATIONS):
        points, scores = np.array(list(objective.known)), np.array(list(objective.known.values()))
        best = points[scores.argmax()]
        width = max(width * _SHRINK, _NARROWEST)
        low = np.clip(best - width / 2, 1.0, max(largest - width, 1.0))
        bounds = np.stack([low, np.minimum(low + width, largest)], axis=1)
        alpha, beta = map(float, _promising(points, scores, bounds, largest - 1.0, rng))
        if objective(alpha, beta) >= _GOOD:
            return alpha, beta
    return max(objective.known, key=objective.known.__getitem__)


def _promising(
    points: np.ndarray, scores: np.ndarray, bounds: np.ndarray, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Where a Gaussian process (Matern 5/2) through scores (p,) at points (p, 2) may be highest, within bounds (2, 2)."""

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
