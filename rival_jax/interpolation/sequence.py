"""What an interpolation returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rival_jax.metrics.sequences import SequenceScores, sequence_scores
from rival_jax.shapes import VariationLatents, VariationPixels


@dataclass(frozen=True)
class Interpolation:
    """What `interpolate` returns: E sequences of n frames, the ends included.

    images: (E, n, H, W, 3) uint8.
    latents: (E, n, h, w, c) float32, scaled.
    coefficients: (E, n) float64, rising from 0 to 1.
    distances: (E, n - 1), between neighbouring frames.
    shapes: (E, 2), alpha and beta of the Beta distribution that the coefficients follow.
    """

    images: VariationPixels
    latents: VariationLatents
    coefficients: np.ndarray
    distances: np.ndarray
    shapes: np.ndarray

    @property
    def scores(self) -> list[SequenceScores]:
        """Smoothness and consistency of each sequence."""
        return [sequence_scores(own) for own in self.distances]

    @property
    def pil(self) -> list[list[Image.Image]]:
        """PIL images, a list of n for each of E sequences."""
        return [[Image.fromarray(picture) for picture in row] for row in self.images]
