"""Between pixels and scaled latents, by the autoencoder, in float32 and one picture at a time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from rival_jax.models.network import Network
from rival_jax.shapes import ExemplarLatents, VariationLatents


@jax.jit
def encode(vae: Network, pixels: jax.Array) -> ExemplarLatents:
    """Scaled latents (e, h, w, c) of pixels (e, H, W, 3) uint8: the posterior's mean."""
    network = vae.module()
    scaled = pixels.astype(jnp.float32) / 127.5 - 1
    with jax.default_matmul_precision("highest"):
        return lax.map(lambda x: network.encode(x[None])[0], scaled) * vae.config.scaling_factor


@jax.jit
def decode(vae: Network, latents: VariationLatents) -> jax.Array:
    """Pixels (e, n, H, W, 3) uint8 of scaled latents (e, n, h, w, c)."""
    network = vae.module()
    rows = latents.reshape(-1, *latents.shape[2:]) / vae.config.scaling_factor
    with jax.default_matmul_precision("highest"):
        pixels = lax.map(lambda x: network.decode(x[None])[0], rows)
    pixels = jnp.round(jnp.clip(pixels * 127.5 + 127.5, 0, 255)).astype(jnp.uint8)
    return pixels.reshape(*latents.shape[:2], *pixels.shape[1:])
