"""The dimension key: one letter an axis, the same letter everywhere, and the array types that use it.

b  rows of a network call            e  exemplars (real photos)
g  groups of rows                    r  rows in a group
n  variations of an exemplar         t  index into the chain, 0 (clean) ... T (noisy); a `timestep` is 0 ... 999
y  x  c  image or latent axes        s  image tokens (y * x)
m  text tokens                       d  width of a token
h  heads                             k  width of a head
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Bool, Float, Num, UInt8, UInt32

Latents = Float[jax.Array, "b y x c"]
"""Scaled latents: the VAE's posterior mean times its `scaling_factor`, float32, channels last."""

ExemplarLatents = Float[jax.Array, "e y x c"]
VariationLatents = Float[jax.Array, "e n y x c"]
Trajectory = Float[jax.Array, "t e n y x c"]
ChainLatents = Float[jax.Array | np.ndarray, "t e y x c"]
EndsLatents = Float[jax.Array | np.ndarray, "t e 2 y x c"]
"""Of the starts and the ends of interpolations."""
Pixels = UInt8[np.ndarray, "e H W 3"]
VariationPixels = UInt8[np.ndarray, "e n H W 3"]
TextEmbedding = Float[jax.Array, "b m d"]
Hole = Bool[jax.Array | np.ndarray, "e y x 1"]
"""Where latents are generated; elsewhere they are the chain's own."""
Guidance = Float[jax.Array | np.ndarray, "e n"]
Timesteps = Num[jax.Array, "b"]
Seeds = UInt32[jax.Array, "e"]
