"""Edges of drawn shapes: where they are, one pixel thin, and nothing on flat ground."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from rival_jax.edges import canny
from rival_jax.errors import InputError


def edges(image, *thresholds):
    """Where the edges are, bool (H, W)."""
    drawn = canny(image, *thresholds)
    assert drawn.dtype == np.uint8 and drawn.ndim == 3 and set(np.unique(drawn)) <= {0, 255}
    assert (drawn == drawn[..., :1]).all()
    return drawn[..., 0] > 0


def step(left, right, size=32):
    """Two flat halves, uint8 RGB; the right one begins at the middle."""
    image = np.full((size, size, 3), left, np.uint8)
    image[:, size // 2 :] = right
    return image


def test_flat_ground():
    assert not edges(np.full((20, 30, 3), 77, np.uint8)).any()
    noise = np.random.default_rng(0).integers(100, 108, (20, 30, 3), np.uint8)  # gradients of 56 at most
    assert not edges(noise).any()


@pytest.mark.parametrize("turn", range(4))
def test_a_straight_edge_is_one_line(turn):
    """Over the whole length: the picture's border does not count as an edge and does not interrupt one."""
    found = np.rot90(edges(np.rot90(step(0, 255), turn).copy()), -turn)
    columns = found.any(axis=0)
    assert columns.sum() == 1 and columns[15:17].any() and found[:, columns].all()


def test_a_rectangle():
    image = Image.new("RGB", (48, 40), "black")
    ImageDraw.Draw(image).rectangle((10, 8, 37, 29), fill="white")
    found = edges(image)
    assert found.shape == (40, 48)
    outline = np.zeros((40, 48), bool)
    outline[8:30, 10:38] = True
    near = ndimage.binary_dilation(outline) & ~ndimage.binary_erosion(outline, iterations=2)
    assert not found[~near].any() and found[20].sum() == 2 and found[:, 24].sum() == 2
    assert ndimage.label(found, np.ones((3, 3)))[1] == 1  # one closed line: it separates inside from outside
    assert ndimage.label(~found)[1] == 2


def test_a_disc_is_a_thin_closed_line():
    image = Image.new("RGB", (64, 64), (20, 90, 30))
    ImageDraw.Draw(image).ellipse((12, 12, 51, 51), fill=(220, 90, 30))
    found = edges(image)
    y, x = np.nonzero(found)
    assert abs(np.hypot(y - 31.5, x - 31.5) - 20).max() < 1.6
    assert ndimage.label(~found)[1] == 2
    assert not ndimage.binary_erosion(found, np.ones((2, 2))).any()  # nowhere two by two
    assert 100 < found.sum() < 2 * np.pi * 20 * 1.1


def test_a_slanted_edge():
    """Both diagonals, by their own neighbours."""
    y, x = np.mgrid[:40, :40]
    for rising in (False, True):
        image = np.where(x + y > 39 if rising else x > y, 200, 0).astype(np.uint8)
        found = edges(image)
        distance = abs(x + y - 39 if rising else x - y)
        inside = (np.minimum(x, y) > 2) & (np.maximum(x, y) < 37)
        assert not found[(distance > 2) & inside].any()
        assert (found[3:-3].sum(axis=1) == 1).all() or (found[3:-3].sum(axis=1) == 2).all()


@pytest.mark.parametrize("rise, is_edge", [(25, False), (26, True)])
def test_the_gradient_s_scale(rise, is_edge):
    """A step of one grey level is a gradient of 4: 100 is not exceeded by 25 of them, 104 exceeds it."""
    assert edges(step(0, rise), 100, 100).any() == is_edge


def test_the_strongest_channel_counts():
    """The three are neither added nor averaged."""
    assert edges(step((0, 0, 0), (26, 0, 0)), 100, 100).any()
    assert not edges(step((0, 0, 0), (25, 25, 25)), 100, 100).any()


def fading(size=40):
    """An edge that is strong above and weak below, uint8 RGB, and a weak one by itself on the right."""
    image = np.zeros((size, size), np.uint8)
    image[: size // 2, 10:25] = 200
    image[size // 2 :, 10:25] = 30
    image[:, 33:] = image[0, 33:] + 30
    return image


def test_hysteresis():
    """What is between the thresholds is an edge where it continues one that is above both, and only there."""
    found, weak, strong = edges(fading()), edges(fading(), 100, 100), edges(fading(), 200, 200)
    right = np.s_[:, 31:35]
    assert weak[right].any() and not found[right].any()
    below = np.s_[24:, 5:29]
    assert not strong[below].any() and found[below].sum() == weak[below].sum() > 30
    assert (strong <= found).all() and (found <= weak).all()


def test_what_a_photo_may_be(tmp_path):
    image = Image.fromarray(step(0, 255))
    image.save(tmp_path / "step.png")
    for given in (image, image.convert("L"), image.convert("RGBA"), tmp_path / "step.png", str(tmp_path / "step.png")):
        np.testing.assert_array_equal(canny(given), canny(step(0, 255)))


@pytest.mark.parametrize("thresholds", [(200, 100), (-1, 100), (float("nan"), 100)])
def test_impossible_thresholds(thresholds):
    with pytest.raises(InputError, match="thresholds of edges are .* 0 <= low <= high"):
        canny(step(0, 255), *thresholds)


def test_what_is_no_photo(tmp_path):
    with pytest.raises(InputError, match="no.png cannot be read"):
        canny(tmp_path / "no.png")
    with pytest.raises(InputError, match="shape"):
        canny(np.zeros((2, 32, 32, 3), np.uint8))
