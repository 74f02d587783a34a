"""Sizes of pictures: few, so that few programs are compiled, and near each exemplar's aspect."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np
from PIL import Image, ImageOps

from rival_jax.images import SHORTEST_SIDE

_COARSE = 64  # pixels
_LONGEST = 2  # sides as 2:1


def bucket(width: int, height: int, size: int, factor: int) -> tuple[int, int]:
    """Height and width of the variations of an exemplar of `width` x `height` pixels.

    Sides are multiples of `factor`, and from a size of 256 on of 64 too. The longer one is any multiple from `size` to
    twice the shorter one, and the shorter one the multiple that brings the area nearest size * size. Of these buckets
    (5 at size 48, 7 at 512, 9 at 768) the one of the likest aspect is taken: a square gets size x size where `size` is
    such a multiple. What does not fit is cropped by `fit`.
    """
    step = math.lcm(_COARSE, factor) if size >= 256 else factor
    aspect = math.log(max(width, height) / min(width, height))
    long, short = min(_sides(size, step), key=lambda sides: abs(math.log(sides[0] / sides[1]) - aspect))
    return (short, long) if width > height else (long, short)


def fit(image: Image.Image, height: int, width: int, *, squeeze: bool = False) -> np.ndarray:
    """The picture as uint8 (height, width, 3), resized by Lanczos's filter.

    Cropped at the centre to that aspect; or, to be stretched back later, squeezed whole.
    """
    resized = image.resize if squeeze else partial(ImageOps.fit, image)
    return np.asarray(resized((width, height), Image.Resampling.LANCZOS))


def _sides(size: int, step: int) -> Iterator[tuple[int, int]]:
    """Longer and shorter sides of all buckets."""
    area = Fraction(size, step) ** 2
    long = short = max(1, round(Fraction(size, step)))
    while long <= _LONGEST * short and (long == short or short * step >= SHORTEST_SIDE):
        yield long * step, short * step
        long += 1
        short = round(area / long)
