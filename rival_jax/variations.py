"""What a generation returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rival_jax.chain import Chain
from rival_jax.shapes import VariationLatents, VariationPixels


@dataclass(frozen=True)
class Variations:
    """What `vary` and the other applications return.

    images: (E, N, H, W, 3) uint8.
    latents: (E, N, h, w, c) float32, scaled; what generation ended on.
    chain: the exemplars' chain, ready for another `vary`.
    nsfw: bool (E, N), what the checkpoint's safety checker flags; None where it has none. Pictures stay as they are.
    nsfw_scores: (E, N) float32, above 0 where flagged; None as above.
    weights: (E, H, W) float32, of generated pixels against the exemplar's where there were masks, else None.
    """

    images: VariationPixels
    latents: VariationLatents
    chain: Chain
    nsfw: np.ndarray | None = None
    nsfw_scores: np.ndarray | None = None
    weights: np.ndarray | None = None

    @property
    def pil(self) -> list[list[Image.Image]]:
        """PIL images, a list of N for each of E exemplars."""
        return [[Image.fromarray(picture) for picture in row] for row in self.images]
