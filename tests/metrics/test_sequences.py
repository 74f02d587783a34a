"""Smoothness and consistency: AID's acceptance cases 31 and 32."""

import numpy as np
import pytest

from rival_jax import InputError
from rival_jax.metrics.sequences import sequence_scores


@pytest.mark.parametrize(
    ("distances", "smoothness"), [((0.3, 0.3), 1), ((0, 0, 1), 1 / 3), ((0.1, 0.3), 0.75), ((0.1, 0.2, 0.3, 0.4), 0.75)]
)
def test_31_gini(distances, smoothness):
    scores = sequence_scores(np.array(distances))
    assert abs(scores.smoothness - smoothness) < 1e-12 and not scores.degenerate
    assert scores.consistency == np.mean(distances) and scores.largest == max(distances)


def test_32_reversed_and_scaled():
    distances = np.random.default_rng(0).random(9)
    own, back, scaled = (sequence_scores(d) for d in (distances, distances[::-1], 3 * distances))
    np.testing.assert_allclose([back.smoothness, back.consistency], [own.smoothness, own.consistency], atol=1e-6)
    np.testing.assert_allclose(
        [scaled.smoothness, scaled.consistency], [own.smoothness, 3 * own.consistency], atol=1e-6
    )


def test_degenerate():
    """Pictures that are all alike; one distance alone is even."""
    scores = sequence_scores(np.zeros(4))
    assert (scores.smoothness, scores.consistency, scores.degenerate) == (1, 0, True)
    assert sequence_scores(np.array([0.7])).smoothness == 1


def test_one_picture():
    with pytest.raises(InputError, match="at least 2 pictures"):
        sequence_scores(np.zeros(0))
