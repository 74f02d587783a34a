"""Measures against what they must be on pictures and features whose answer is known."""

import numpy as np
import pytest

from rival_jax.metrics.features import kid
from rival_jax.metrics.palette import COLOURS, palette, palette_distance
from rival_jax.metrics.statistics import interval


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)


def test_a_palette_is_the_picture_s_colours():
    """Ten flat colours come back as themselves, the commonest first."""
    colours = np.random.default_rng(1).integers(0, 256, (COLOURS, 3), np.uint8)
    rows = np.repeat(colours, np.arange(20, 10, -1), axis=0)
    found = palette(np.broadcast_to(rows[:, None], (len(rows), 8, 3)).copy())
    np.testing.assert_allclose(found, colours / 255, atol=1e-9)


def test_fewer_colours_than_ten_are_repeated():
    flat = np.full((16, 16, 3), 51, np.uint8)
    np.testing.assert_allclose(palette(flat), np.full((COLOURS, 3), 0.2))


def test_palette_distance(picture):
    """Zero to itself, wherever its pixels lie; symmetric; ten times the L1 distance of two flat colours."""
    mixed = np.random.default_rng(2).permutation(picture.reshape(-1, 3)).reshape(picture.shape)
    assert palette_distance(picture, mixed) == pytest.approx(0, abs=1e-9)
    other = 255 - picture
    assert palette_distance(picture, other) == pytest.approx(palette_distance(other, picture))
    black, grey = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 102, np.uint8)
    assert palette_distance(black, grey) == pytest.approx(COLOURS * 3 * 0.4)


def test_palette_distance_grows_with_a_tint(picture):
    tinted = [np.clip(picture * (1 + np.array([share, 0, -share])), 0, 255).astype(np.uint8) for share in (0.1, 0.3)]
    small, large = (palette_distance(picture, image) for image in tinted)
    assert 0 < small < large


def features(count, shift=0.0, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, 32)) + shift
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_kid_tells_distributions_apart():
    same, other = kid(features(200), features(200, seed=1)), kid(features(200), features(200, shift=0.3, seed=1))
    assert abs(same) < 0.02 < 0.1 < other
    assert kid(features(200), features(200, 0.6, 1)) > other


def test_intervals():
    """Of the exemplars' mean; about 1.96 standard errors either side."""
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert interval(values) == (low, high) and interval(np.full(5, 3.0)) == (3.0, 3.0)
