"""Which of many frames make the smoothest sequence."""

from __future__ import annotations

import numpy as np

from rival_jax.errors import InputError


def smoothest_path(distances: np.ndarray, length: int) -> list[int]:
    """Increasing indices from 0 to the last whose neighbours' distances differ least: largest less smallest.

    Args:
        distances: (m, m), between any two of m frames in order.
        length: of the path, 2 ... m.

    Exact: for each distance as the smallest allowed, the path whose largest is least; among equals the first in
    lexicographical order. Raises InputError for a length out of its range. Source: AID's path extraction.
    """
    count = len(distances)
    if not 2 <= length <= count:
        raise InputError(f"length is {length!r}, but must be from 2 to the {count} frames that there are.")
    found: tuple[float, list[int]] | None = None
    for smallest in np.unique(distances[np.triu_indices(count, 1)]):
        allowed = np.where(distances >= smallest, distances, np.inf)
        path = _least_largest(allowed, length)
        if path is None:
            break  # nor is there one with fewer distances allowed
        steps = distances[path[:-1], path[1:]]
        candidate = (float(steps.max() - steps.min()), path)
        found = candidate if found is None else min(found, candidate)
    assert found is not None  # with all distances allowed there is a path
    return found[1]


def _least_largest(distances: np.ndarray, length: int) -> list[int] | None:
    """The path of `length` whose largest distance is least, the first of equals; None where all are infinite."""
    count = len(distances)
    least = np.full((length, count), np.inf)  # least[k, i]: of the paths from i over k more frames to the last
    least[0, -1] = -np.inf
    for k in range(1, length):
        for i in range(count - 1):
            least[k, i] = np.maximum(distances[i, i + 1 :], least[k - 1, i + 1 :]).min()
    bound = least[length - 1, 0]
    if not np.isfinite(bound):
        return None
    path = [0]
    for k in range(length - 1, 0, -1):
        i = path[-1]
        fits = np.maximum(distances[i, i + 1 :], least[k - 1, i + 1 :]) <= bound
        path.append(i + 1 + int(np.argmax(fits)))
    return path
