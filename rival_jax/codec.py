"""Between pixels and scaled latents, by the autoencoder, in float32 and one picture at a time."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from rival_jax.devices import BY_EXEMPLAR, BY_VARIATION, SAME, mesh_for, over, place
from rival_jax.models.network import Network
from rival_jax.shapes import ExemplarLatents, VariationLatents


def encode(vae: Network, pixels: jax.Array | np.ndarray) -> ExemplarLatents:
    """Scaled latents (e, h, w, c) of pixels (e, H, W, 3) uint8: the posterior's mean, to all digits of float32."""
    mesh = mesh_for(len(pixels))
    return _encode(vae, place(mesh, pixels, BY_EXEMPLAR), mesh=mesh)[: len(pixels)]


def decode(vae: Network, latents: VariationLatents) -> jax.Array:
    """Pixels (e, n, H, W, 3) uint8 of scaled latents (e, n, h, w, c), in the caller's matrix product precision."""
    exemplars, variations = latents.shape[:2]
    mesh = mesh_for(exemplars, variations)
    return _decode(vae, place(mesh, latents, BY_VARIATION), mesh=mesh)[:exemplars, :variations]


@partial(jax.jit, static_argnames="mesh")
def _encode(vae: Network, pixels: jax.Array, *, mesh: Mesh) -> jax.Array:
    def program(vae, pixels):
        network = vae.module()
        scaled = pixels.astype(jnp.float32) / 127.5 - 1
        with jax.default_matmul_precision("highest"):
            return lax.map(lambda x: network.encode(x[None])[0], scaled) * vae.config.scaling_factor

    return over(mesh, program, (SAME, BY_EXEMPLAR), BY_EXEMPLAR)(vae, pixels)


@partial(jax.jit, static_argnames="mesh")
def _decode(vae: Network, latents: jax.Array, *, mesh: Mesh) -> jax.Array:
    def program(vae, latents):
        network = vae.module()
        rows = latents.reshape(-1, *latents.shape[2:]) / vae.config.scaling_factor
        pixels = lax.map(lambda x: network.decode(x[None])[0], rows)
        pixels = jnp.round(jnp.clip(pixels * 127.5 + 127.5, 0, 255)).astype(jnp.uint8)
        return pixels.reshape(*latents.shape[:2], *pixels.shape[1:])

    return over(mesh, program, (SAME, BY_VARIATION), BY_VARIATION)(vae, latents)
