"""The inverted exemplars: what inversion makes and generation follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from rival_jax.options import TimestepConvention
from rival_jax.shapes import ChainLatents, Pixels


@partial(jax.tree_util.register_dataclass, data_fields=["states", "noise"], meta_fields=[])
@dataclass(frozen=True)
class Kept:
    """What the UNet made of the chain, so that no reference row runs again; index t - 1 is for the step from t.

    states: (T, e, s, d) in the UNet's dtype, the input of each self-attention layer in the order of use.
    noise: (T, e, y, x, c) float32, the predicted noise.
    """

    states: list[jax.Array]
    noise: jax.Array


@dataclass(frozen=True)
class Chain:
    """The inverted exemplars: what `invert` returns and `vary` takes in place of photos.

    latents: (T + 1, E, h, w, c) float32, scaled; index 0 is clean, T the noisiest.
    pixels: (E, H, W, 3) uint8, the exemplars as the model saw them.
    source_prompt: one an exemplar, what the chain was told.
    timestep_convention: which timestep the UNet was told.
    kept: the reference's states, where `invert` was told to keep them.
    fixed_point_steps: how often each step of the inversion was refined, 0 ... 100.
    null: (T, E, m, d) float32, what `optimise_null_text` found, else None; index t - 1 is for the step from t.
    """

    latents: ChainLatents
    pixels: Pixels
    source_prompt: tuple[str, ...]
    timestep_convention: TimestepConvention
    kept: Kept | None = None
    fixed_point_steps: int = 0
    null: jax.Array | np.ndarray | None = None

    @property
    def cache_reference(self) -> bool:
        """Whether the reference's states are kept."""
        return self.kept is not None

    @property
    def num_inference_steps(self) -> int:
        """T, the steps of the chain."""
        return self.latents.shape[0] - 1
