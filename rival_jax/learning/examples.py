"""Photos and the prompts that name them, as batches to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rival_jax.codec import encode
from rival_jax.pipeline import RivalPipeline

TEMPLATES = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a good photo of {}",
    "a rendition of {}",
    "{}",
)


@dataclass(frozen=True)
class Examples:
    """Latents (p, y, x, c) of photos and of their mirror images, and token ids (q, m) of which any fits any of them."""

    latents: np.ndarray
    ids: np.ndarray

    @classmethod
    def of(cls, pipe: RivalPipeline, pixels: np.ndarray, prompts: Sequence[str]) -> Examples:
        """Of photos (e, H, W, 3) uint8."""
        both = np.concatenate([pixels, pixels[:, :, ::-1]])
        return cls(np.asarray(encode(pipe.vae, both)), pipe.tokenizer(tuple(prompts)))

    def draw(self, rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        """`count` of them, each with one of the prompts."""
        rows = rng.integers(len(self.latents), size=count)
        return {"latents": self.latents[rows], "ids": self.ids[rng.integers(len(self.ids), size=count)]}


def prompts_of(concept: str) -> list[str]:
    """What can be said of a concept."""
    return [template.format(concept) for template in TEMPLATES]
