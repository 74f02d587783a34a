"""Frames made one by one where the sequence jumps most, with a Beta distribution that is fitted as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rival_jax.errors import InputError
from rival_jax.interpolation.coefficients import between, check_shape, fit_beta
from rival_jax.steps import Progress, silent

Render = Callable[[float], np.ndarray]
"""The frame (H, W, 3) uint8 of a coefficient, 0 and 1 included."""
Distance = Callable[[np.ndarray, np.ndarray], float]
"""How different two frames are, 0 or more."""


@dataclass(frozen=True)
class Explored:
    """coefficients: (m,), rising from 0 to 1. frames: (m, H, W, 3) uint8. distances: (m - 1,) of neighbours.

    alpha, beta: of the distribution that was fitted last. degenerate: whether all frames are alike.
    """

    coefficients: np.ndarray
    frames: np.ndarray
    distances: np.ndarray
    alpha: float
    beta: float

    @property
    def degenerate(self) -> bool:
        return not self.distances.any()


def explore(
    render: Render,
    distance: Distance,
    size: int = 16,
    *,
    alpha: float = 3.0,
    beta: float = 3.0,
    uniform: bool = False,
    progress: Progress = silent,
) -> Explored:
    """Frames at coefficients that are chosen one after the other, each halfway across the largest distance.

    Args:
        render: makes a frame.
        distance: between two frames.
        size: frames in all, 3 or more.
        alpha, beta: of the distribution before the first fit; what "halfway" means.
        uniform: halve the widest gap between coefficients instead, and fit nothing.
        progress: called with ("exploration", frames made, frames in all).

    Raises InputError for a size below 3 or parameters that are not above 0. Source: AID's dynamic exploration.
    """
    check_shape(alpha, beta)
    if size < 3:
        raise InputError(f"exploration_size is {size!r}, but must be at least 3.")
    coefficients = [0.0, 0.5, 1.0]
    frames = []
    for number, coefficient in enumerate(coefficients, start=1):
        frames.append(render(coefficient))
        progress("exploration", number, size)
    distances = [distance(*pair) for pair in zip(frames[:-1], frames[1:], strict=True)]
    if uniform:
        alpha = beta = 1.0
    while len(frames) < size:
        gaps = np.diff(coefficients) if uniform else np.asarray(distances)
        k = int(np.argmax(gaps))
        coefficient = between(coefficients[k], coefficients[k + 1], alpha, beta)
        frame = render(coefficient)
        coefficients.insert(k + 1, coefficient)
        frames.insert(k + 1, frame)
        distances[k : k + 1] = [distance(frames[k], frame), distance(frame, frames[k + 2])]
        if not uniform:
            alpha, beta = fit_beta(np.asarray(coefficients), np.asarray(distances)) or (alpha, beta)
        progress("exploration", len(frames), size)
    return Explored(np.asarray(coefficients), np.stack(frames), np.asarray(distances), alpha, beta)
