"""The edges of a photo, for a ControlNet that follows edges."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from rival_jax.errors import InputError
from rival_jax.images import opened

_SOBEL = np.outer((1, 2, 1), (-1, 0, 1))[..., None]
_STEEP = np.tan(np.pi / 8)
"""A gradient this much longer along one axis than along the other counts as along that axis."""


def canny(image: object, low: float = 100, high: float = 200) -> np.ndarray:
    """Edges of a photo, uint8 (H, W, 3), 255 on an edge and 0 elsewhere, of the photo's own size.

    Args:
        image: one photo, as for `RivalPipeline.invert`.
        low: 0 ... `high`, what a pixel's gradient must exceed to go on an edge that is begun elsewhere.
        high: `low` or more, what a pixel's gradient must exceed to begin an edge. Gradients are |x| + |y| of 3 x 3
            Sobel filters, at most 2040, of the channel in which they are largest.

    Raises InputError for what is no photo, and unless 0 <= low <= high.

    Source: Canny, A Computational Approach to Edge Detection (1986), as OpenCV has it: without smoothing.
    """
    if not 0 <= low <= high:
        raise InputError(f"The thresholds of edges are {low!r} and {high!r}, but must be 0 <= low <= high.")
    x, y = _gradient(np.asarray(opened(image), np.int32))
    magnitude = abs(x) + abs(y)
    candidates = (magnitude > low) & _is_crest(x, y, magnitude)
    edges = ndimage.binary_propagation(candidates & (magnitude > high), np.ones((3, 3)), candidates)
    return np.repeat(np.where(edges, 255, 0).astype(np.uint8)[..., None], 3, axis=-1)


def _gradient(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Along x and along y, (H, W) each: at every pixel those of the channel in which their sum is largest."""
    x, y = (ndimage.correlate(rgb, kernel, mode="nearest") for kernel in (_SOBEL, _SOBEL.swapaxes(0, 1)))
    strongest = (abs(x) + abs(y)).argmax(axis=-1, keepdims=True)
    x, y = (np.take_along_axis(each, strongest, axis=-1)[..., 0] for each in (x, y))
    return x, y


def _is_crest(x: np.ndarray, y: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """Where the magnitude is largest along the gradient, which is taken along the nearest of four directions.

    Of two equal neighbours along an axis the latter is none, so that an edge between two pixels is one pixel thin.
    """
    padded = np.pad(magnitude, 1)

    def at(down: int, right: int) -> np.ndarray:
        """The magnitude so many pixels further on; 0 outside."""
        height, width = magnitude.shape
        return padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    wide, tall = abs(x), abs(y)
    across = (magnitude > at(0, -1)) & (magnitude >= at(0, 1))
    upright = (magnitude > at(-1, 0)) & (magnitude >= at(1, 0))
    falling = (magnitude > at(-1, -1)) & (magnitude > at(1, 1))
    rising = (magnitude > at(-1, 1)) & (magnitude > at(1, -1))
    slanted = np.where((x < 0) != (y < 0), rising, falling)
    return np.where(tall < _STEEP * wide, across, np.where(wide < _STEEP * tall, upright, slanted))
