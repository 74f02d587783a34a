"""Where the frames of a sequence lie between its ends: quantiles of a Beta distribution."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import beta as distribution

from rival_jax.errors import InputError

_LEAST = 1e-6


def check_shape(alpha: float, beta: float) -> None:
    """Raises InputError unless both parameters of a Beta distribution are finite and above 0."""
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
            raise InputError(f"{name} is {value!r}, but must be a finite number above 0.")


def beta_coefficients(num_frames: int, alpha: float = 3.0, beta: float = 3.0) -> np.ndarray:
    """Coefficients (n,) float64 from 0 to 1, n >= 3: the quantiles i / (n - 1) of Beta(alpha, beta).

    1, 1 spaces them evenly; larger values draw them to the mean alpha / (alpha + beta).
    Raises InputError for fewer frames, or parameters that are not above 0. Source: AID section 3.3.
    """
    check_shape(alpha, beta)
    if num_frames < 3:
        raise InputError(f"num_frames is {num_frames!r}, but must be at least 3: the two ends and what is between.")
    inner = distribution.ppf(np.arange(1, num_frames - 1) / (num_frames - 1), alpha, beta)
    return np.concatenate([[0.0], inner, [1.0]])


def between(low: float, high: float, alpha: float, beta: float) -> float:
    """The coefficient halfway between two under Beta(alpha, beta); their mean where float32 leaves no such one."""
    halfway = distribution.cdf([low, high], alpha, beta).mean()
    found = float(distribution.ppf(halfway, alpha, beta))
    return found if np.float32(low) < np.float32(found) < np.float32(high) else (low + high) / 2


def fit_beta(coefficients: np.ndarray, distances: np.ndarray) -> tuple[float, float] | None:
    """Parameters of the Beta distribution that grows along the coefficients (n,) as the frames' distances (n - 1,) do.

    None where nothing can be fitted: all distances are 0, or the search fails.
    """
    total = distances.sum()
    if not (np.isfinite(total) and total > 0):
        return None
    grown = np.concatenate([[0.0], np.cumsum(distances) / total])

    def missed(shape: np.ndarray) -> np.ndarray:
        return distribution.cdf(coefficients, *shape) - grown

    try:
        fit = least_squares(missed, (1.0, 1.0), bounds=(_LEAST, np.inf), xtol=1e-12, ftol=1e-12, gtol=1e-12)
    except ValueError:
        return None
    alpha, beta = map(float, fit.x)
    return (alpha, beta) if fit.success and np.isfinite([alpha, beta]).all() else None
