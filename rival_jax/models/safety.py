"""The safety checker of Stable Diffusion: how much a picture resembles concepts that are known by embeddings alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.clip import VisionEncoder, unit
from rival_jax.models.clip_config import CLIPConfig
from rival_jax.models.layers import linear

_CONCEPTS, _SPECIAL_CARE = 17, 3
_STRICTER = 0.01
"""Added to every score of a picture that needs special care."""


class Concepts(nnx.Module):
    """Embeddings to compare a picture's with, and the cosine above which it resembles each: its `weight`."""

    def __init__(self, count: int, width: int, *, dtype, rngs: nnx.Rngs):
        self.embeds = nnx.Param(jax.random.normal(rngs.params(), (count, width), dtype))
        self.weights = nnx.Param(jnp.ones((count,), dtype))

    def __call__(self, embedding_bd: jax.Array) -> jax.Array:
        """Cosines less the weights, (b, count), of unit vectors (b, d)."""
        return embedding_bd @ unit(self.embeds[...]).T - self.weights[...][None]


class SafetyNetwork(nnx.Module):
    """`StableDiffusionSafetyChecker` up to its scores."""

    def __init__(self, config: CLIPConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        options = {"dtype": dtype, "rngs": rngs}
        self.vision_model = VisionEncoder(config.vision, **options)
        self.visual_projection = linear(config.vision.hidden_size, config.projection_dim, use_bias=False, **options)
        self.concept = Concepts(_CONCEPTS, config.projection_dim, **options)
        self.special_care = Concepts(_SPECIAL_CARE, config.projection_dim, **options)

    def embed_images(self, pixels: jax.Array) -> jax.Array:
        """Unit vectors (b, projection_dim) of normalised pixels (b, H, W, 3)."""
        return unit(self.visual_projection(self.vision_model.pooled(pixels)))

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Scores (b, 17) of normalised pixels (b, H, W, 3), three decimals; one above 0 flags the picture.

        Source: diffusers, pipelines/stable_diffusion/safety_checker.py.
        """
        embedding = self.embed_images(pixels)
        is_special = (jnp.round(self.special_care(embedding), 3) > 0).any(axis=1, keepdims=True)
        return jnp.round(self.concept(embedding) + jnp.where(is_special, _STRICTER, 0.0), 3)
