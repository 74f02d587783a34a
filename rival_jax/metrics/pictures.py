"""Pictures on their way into a network that measures them: one size, fixed batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageOps

_BATCH = 64


def resized(images: Sequence[np.ndarray] | np.ndarray, size: int) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of any sizes as (n, size, size, 3) uint8: resized (bicubic), their middle."""
    pictures = map(Image.fromarray, images)
    return np.stack([np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)) for image in pictures])


def in_batches(program: Callable[[np.ndarray], Any], rows: np.ndarray) -> Any:
    """What a program makes of rows (n, ...), as NumPy arrays (n, ...); the last batch is filled up for its shape."""
    short = -len(rows) % _BATCH
    padded = np.concatenate([rows, np.repeat(rows[-1:], short, axis=0)])
    parts = [program(padded[start : start + _BATCH]) for start in range(0, len(padded), _BATCH)]
    return jax.tree.map(lambda *batches: np.concatenate(batches)[: len(rows)], *parts)
