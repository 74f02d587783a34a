"""Whether pictures are safe for work, as the checkpoint's own safety checker has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.metrics.judge import cosine_distance
from rival_jax.metrics.pictures import Normalisation, in_batches
from rival_jax.models.network import Network
from rival_jax.weights import SAFETY_CHECKER, Plan, load_state, plan
from rival_jax.weights.files import FEATURE_EXTRACTOR, has_safety_checker

_BATCH = 8
"""Pictures at once: a run has few, and the network is large."""


@dataclass(frozen=True)
class SafetyChecker:
    """The safety checker of a checkpoint, in float32. Made by `from_pretrained`; its weights are read at first use."""

    plan: Plan = field(repr=False)
    normalisation: Normalisation

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> SafetyChecker | None:
        """The checker of a model directory in the diffusers layout; None where the model has none.

        Raises InputError for one that cannot be read, before any weight is loaded.
        """
        directory = Path(directory)
        if not has_safety_checker(directory):
            return None
        normalisation = Normalisation.from_pretrained(directory / FEATURE_EXTRACTOR)
        return cls(plan(directory, SAFETY_CHECKER, jnp.float32), normalisation)

    @cached_property
    def network(self) -> Network:
        """Its weights, on every device."""
        return Network(self.plan.graphdef, load_state(self.plan), self.plan.config)

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Whether each of pictures (n, H, W, 3) uint8 is flagged, bool (n,), and its score, float32 (n,).

        A score is the largest of the picture's concepts, in about -1 ... 1; above 0 it is flagged.
        """
        scores = self._apply(images, "__call__").max(axis=1)
        return scores > 0, scores

    def distance(self, images: np.ndarray, others: np.ndarray) -> np.ndarray:
        """How different pictures (n, H, W, 3) uint8 look to its CLIP from as many others, as `Judge.distance`: (n,)."""
        return cosine_distance(partial(self._apply, method="embed_images"), images, others)

    def _apply(self, images: np.ndarray | Sequence[np.ndarray], method: str) -> np.ndarray:
        pixels = self.normalisation(images, self.plan.config.vision.image_size)
        return in_batches(partial(_apply, self.network, method=method), pixels, _BATCH)


@partial(jax.jit, static_argnames="method")
def _apply(network: Network, pixels: jax.Array, method: str) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        return getattr(network.module(), method)(pixels)
