"""Few sizes, near the exemplar's aspect, of about one area."""

import math

import numpy as np
import pytest
from PIL import Image

from rival_jax.jobs.inputs.buckets import bucket, fit

SIZES = [(48, 8, 8), (64, 8, 8), (256, 8, 64), (512, 8, 64), (768, 8, 64), (1024, 8, 64)]


@pytest.mark.parametrize("size, factor, step", SIZES)
def test_rule(size, factor, step):
    """Of any exemplar: sides are multiples, areas alike, and a turned exemplar has a turned bucket."""
    found = set()
    for width in range(20, 400, 7):
        height, other = bucket(width, 100, size, factor), bucket(100, width, size, factor)
        assert height == other[::-1] or width == 100
        found |= {height, other}
    assert len(found) <= 15
    for sides in found:
        assert all(side % step == 0 for side in sides)
        assert max(sides) <= 2 * min(sides)
        assert math.prod(sides) == pytest.approx(size**2, rel=0.13)


@pytest.mark.parametrize("size, factor", [(48, 8), (256, 8), (512, 8), (768, 8)])
def test_square(size, factor):
    assert bucket(1000, 1000, size, factor) == bucket(1001, 1000, size, factor) == (size, size)


def test_odd_factor():
    assert bucket(100, 100, 512, 48) == (576, 576)


def test_known():
    """At 512: photos of 4:3, 3:2 and 16:9, and panoramas, which are cropped."""
    sizes = [(4000, 3000), (3000, 4000), (6000, 4000), (1920, 1080), (100, 3000)]
    assert [bucket(*each, 512, 8) for each in sizes] == [(448, 576), (576, 448), (384, 640), (384, 704), (704, 384)]
    assert [len({bucket(width, 1000, size, 8) for width in range(100, 9000, 10)}) for size in (48, 512, 768)] == [
        5,
        7,
        9,
    ]


def test_fit_crops_at_the_centre():
    image = Image.new("RGB", (90, 30), "black")
    image.paste("white", (30, 0, 60, 30))
    fitted = fit(image, 48, 48)
    assert fitted.dtype == np.uint8 and fitted.shape == (48, 48, 3) and fitted[:, 9:-9].min() == 255
    assert fit(image, 16, 32).shape == (16, 32, 3)
