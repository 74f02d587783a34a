"""How far apart the colours of two pictures are."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

COLOURS = 10


def palette(pixels: np.ndarray) -> np.ndarray:
    """The ten k-means colours of a picture (H, W, 3) uint8, as (10, 3) float64 in [0, 1], the commonest first.

    A picture of fewer colours repeats them. The clusters start from the median cut, so the result is deterministic.
    """
    clustered = Image.fromarray(pixels).quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=1)
    colours = np.asarray(clustered.getpalette(), np.float64).reshape(-1, 3)
    commonest = np.argsort(-np.bincount(np.asarray(clustered).ravel(), minlength=COLOURS), kind="stable")
    used = len(np.unique(np.asarray(clustered)))
    return colours[np.resize(commonest[:used], COLOURS)] / 255


def palette_distance(pixels: np.ndarray, other: np.ndarray) -> float:
    """The sum of L1 distances of two pictures' palettes, matched at the least cost: 0 (the same colours) to 30.

    Args:
        pixels, other: (H, W, 3) uint8, of any two sizes.

    Source: RIVAL Appendix E.
    """
    costs = np.abs(palette(pixels)[:, None] - palette(other)[None]).sum(axis=-1)
    return float(costs[linear_sum_assignment(costs)].sum())
