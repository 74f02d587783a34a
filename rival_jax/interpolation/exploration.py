"""Frames made one by one where the sequence jumps most, with a Beta distribution that is fitted as it goes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from rival_jax.errors import InputError
from rival_jax.interpolation.coefficients import between, check_shape, fit_beta

Frame = TypeVar("Frame")
Result = TypeVar("Result")

Distance = Callable[[Frame, Frame], float]
"""How different two frames are, 0 or more."""
Asking = Generator[float, Frame, Result]
"""Yields the coefficient of the frame that it wants next, 0 and 1 included; is sent the frame."""


@dataclass(frozen=True)
class Explored(Generic[Frame]):
    """coefficients: (m,), rising from 0 to 1. frames: m. distances: (m - 1,) of neighbours.

    alpha, beta: of the distribution that was fitted last. degenerate: whether all frames are alike.
    """

    coefficients: np.ndarray
    frames: list[Frame]
    distances: np.ndarray
    alpha: float
    beta: float

    @property
    def degenerate(self) -> bool:
        return not self.distances.any()


def explore(
    distance: Distance[Frame], size: int = 16, *, alpha: float = 3.0, beta: float = 3.0, uniform: bool = False
) -> Asking[Frame, Explored[Frame]]:
    """Frames at coefficients that are chosen one after the other, each halfway across the largest distance.

    Args:
        distance: between two frames.
        size: frames in all, 3 or more.
        alpha, beta: of the distribution before the first fit; what "halfway" means.
        uniform: halve the widest gap between coefficients instead, and fit nothing.

    Raises InputError for a size below 3 or parameters that are not above 0. Source: AID's dynamic exploration.
    """
    check_shape(alpha, beta)
    if size < 3:
        raise InputError(f"exploration_size is {size!r}, but must be at least 3.")
    return _exploring(distance, size, alpha, beta, uniform)


def _exploring(
    distance: Distance[Frame], size: int, alpha: float, beta: float, uniform: bool
) -> Asking[Frame, Explored[Frame]]:
    coefficients, frames = [0.0, 0.5, 1.0], []
    for coefficient in coefficients:
        frames.append((yield coefficient))
    distances = [distance(*pair) for pair in zip(frames[:-1], frames[1:], strict=True)]
    if uniform:
        alpha = beta = 1.0
    while len(frames) < size:
        gaps = np.diff(coefficients) if uniform else np.asarray(distances)
        k = int(np.argmax(gaps))
        coefficient = between(coefficients[k], coefficients[k + 1], alpha, beta)
        frame = yield coefficient
        coefficients.insert(k + 1, coefficient)
        frames.insert(k + 1, frame)
        distances[k : k + 1] = [distance(frames[k], frame), distance(frame, frames[k + 2])]
        if not uniform:
            alpha, beta = fit_beta(np.asarray(coefficients), np.asarray(distances)) or (alpha, beta)
    return Explored(np.asarray(coefficients), frames, np.asarray(distances), alpha, beta)


def in_step(searches: Sequence[Asking[Frame, Result]], make: Callable[[np.ndarray], Sequence[Frame]]) -> list[Result]:
    """What several searches find, whose frames are made together, one of each.

    make: the frames of coefficients (e,), one a search; of a search that has ended any coefficient, for nobody.
    """
    asked = np.asarray([next(search) for search in searches])
    found: list[Result | None] = [None] * len(searches)
    left = set(range(len(searches)))
    while left:
        frames = make(asked)
        for i in sorted(left):
            try:
                asked[i] = searches[i].send(frames[i])
            except StopIteration as end:
                found[i] = end.value
                left.remove(i)
    return found  # pyright: ignore[reportReturnType] (none is left)
