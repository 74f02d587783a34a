"""Pictures on their way into a network that measures them: one size, its own normalisation, fixed batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageOps

from rival_jax.errors import InputError
from rival_jax.weights.files import read_json

_BATCH = 64


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation (3,) of the pixels that a CLIP was trained on. Made by `from_pretrained`."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def from_pretrained(cls, directory: Path) -> Normalisation:
        """Reads preprocessor_config.json, or processor_config.json, where transformers 5 writes a whole processor.

        Raises InputError for what cannot be read.
        """
        whole, part = directory / "processor_config.json", directory / "preprocessor_config.json"
        settings = read_json(whole).get("image_processor", {}) if whole.is_file() else read_json(part)
        statistics = []
        for name, usual in (("image_mean", OF_CLIP.mean), ("image_std", OF_CLIP.std)):
            values = settings.get(name, usual.tolist())
            numbers = isinstance(values, list | tuple) and all(isinstance(value, int | float) for value in values)
            if not numbers or len(values) != 3:
                raise InputError(f"{name} in {directory} is {values}, but must be three numbers.")
            statistics.append(np.asarray(values, np.float32))
        return cls(*statistics)

    def __call__(self, images: Sequence[np.ndarray] | np.ndarray, size: int) -> np.ndarray:
        """Pictures (H, W, 3) uint8 of any sizes as float32 (n, size, size, 3), as the CLIP reads them.

        Differs from transformers: pictures are always resized and cropped to the config's size, bicubic.
        """
        return (resized(images, size).astype(np.float32) / 255 - self.mean) / self.std


OF_CLIP = Normalisation(
    np.array([0.48145466, 0.4578275, 0.40821073], np.float32),
    np.array([0.26862954, 0.26130258, 0.27577711], np.float32),
)
"""What CLIP's own pictures are normalised with, where a model says nothing else."""


def resized(images: Sequence[np.ndarray] | np.ndarray, size: int) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of any sizes as (n, size, size, 3) uint8: resized (bicubic), their middle."""
    pictures = map(Image.fromarray, images)
    return np.stack([np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)) for image in pictures])


def in_batches(program: Callable[[np.ndarray], Any], rows: np.ndarray, size: int = _BATCH) -> Any:
    """What a program makes of rows (n, ...), as NumPy arrays (n, ...); the last batch is filled up for its shape.

    Fewer rows than a batch has are filled up to the next power of two.
    """
    size = min(size, 1 << (len(rows) - 1).bit_length())
    short = -len(rows) % size
    padded = np.concatenate([rows, np.repeat(rows[-1:], short, axis=0)])
    parts = [program(padded[start : start + size]) for start in range(0, len(padded), size)]
    return jax.tree.map(lambda *batches: np.concatenate(batches)[: len(rows)], *parts)
