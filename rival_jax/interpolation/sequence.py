"""What an interpolation returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rival_jax import checks
from rival_jax.metrics.judge import Judge
from rival_jax.metrics.sequences import SequenceScores, sequence_scores
from rival_jax.shapes import VariationLatents, VariationPixels


@dataclass(frozen=True)
class Interpolation:
    """What `interpolate` returns: E sequences of n frames, the ends included.

    images: (E, n, H, W, 3) uint8.
    latents: (E, n, h, w, c) float32, scaled.
    coefficients: (E, n) float64, rising from 0 to 1.
    distances: (E, n - 1), between neighbouring frames.
    shapes: (E, 2), alpha and beta of the Beta distribution that the coefficients follow, or that was fitted to all
        frames that were explored; nan where coefficients were given.
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

    def closest(self, prompts: str | Sequence[str], judge: Judge | None = None) -> np.ndarray:
        """Which frame, 0 ... n - 1, of each sequence (E,) shows a prompt best.

        With a guide prompt that has the components of both ends, this is the composition.

        Args:
            prompts: one for all sequences, or one a sequence.
            judge: a CLIP; None is the embedded one, which knows drawings only.

        Raises InputError for another number of prompts. Source: PAID, compositional generation.
        """
        judge, (e, n) = judge or Judge.from_pretrained(), self.images.shape[:2]
        texts = judge.embed_texts(checks.per_exemplar("prompts", prompts, e))
        seen = judge.embed_images(self.images.reshape(e * n, *self.images.shape[2:])).reshape(e, n, -1)
        return np.einsum("end,ed->en", seen, texts).argmax(axis=1)

    @property
    def pil(self) -> list[list[Image.Image]]:
        """PIL images, a list of n for each of E sequences."""
        return [[Image.fromarray(picture) for picture in row] for row in self.images]
