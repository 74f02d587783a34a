"""AID's path through explored frames: acceptance case 29."""

from itertools import combinations

import numpy as np
import pytest

from rival_jax import InputError
from rival_jax.interpolation.paths import smoothest_path


def brute(distances, length):
    """All paths in lexicographical order; the first of the best."""
    last = len(distances) - 1
    paths = [[0, *inner, last] for inner in combinations(range(1, last), length - 2)]
    return min(paths, key=lambda p: np.ptp(distances[p[:-1], p[1:]]))


@pytest.mark.parametrize("count", range(2, 9))
def test_29_equals_brute_force(count):
    rng = np.random.default_rng(count)
    for draw in range(30):
        upper = rng.integers(0, 6, (count, count)) / 4 if draw % 2 else rng.random((count, count))
        distances = np.triu(upper, 1) + np.triu(upper, 1).T
        for length in range(2, count + 1):
            assert smoothest_path(distances, length) == brute(distances, length)


def test_29_ends():
    distances = np.random.default_rng(0).random((6, 6))
    assert smoothest_path(distances, 2) == [0, 5]
    assert smoothest_path(distances, 6) == [0, 1, 2, 3, 4, 5]
    assert smoothest_path(np.zeros((5, 5)), 3) == [0, 1, 4]


@pytest.mark.parametrize("length", [1, 7])
def test_bad_length(length):
    with pytest.raises(InputError, match=f"length is {length}, but must be from 2 to the 6 frames"):
        smoothest_path(np.zeros((6, 6)), length)
