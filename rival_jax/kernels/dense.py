"""Attention with all scores at once, or by cuDNN's flash kernel."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def dense(q_grshk: jax.Array, shared, own) -> jax.Array:
    """As `attention`, in plain JAX.

    Heads come before positions, and weights are normalised after their product with the values: XLA then makes one
    loop of it on CPUs, half as long as that of `jax.nn.dot_product_attention` (measured there).
    """
    return _joined(_all_scores, q_grshk, shared, own)


def cudnn(q_grshk: jax.Array, shared, own) -> jax.Array:
    """As `attention`, on NVIDIA GPUs."""
    return _joined(lambda *qkv: jax.nn.dot_product_attention(*qkv, implementation="cudnn"), q_grshk, shared, own)


def _joined(attend: Callable[..., jax.Array], q_grshk: jax.Array, shared, own) -> jax.Array:
    """Rows that share all they read become one row of more queries; else the shared part is copied."""
    g, r, s, h, k = q_grshk.shape
    if own is None:
        out = attend(q_grshk.reshape(g, r * s, h, k), *shared)
    else:
        if shared is not None:
            own = [jnp.concatenate([_for_each(a, r), b], axis=2) for a, b in zip(shared, own, strict=True)]
        out = attend(*(x.reshape(g * r, *x.shape[2:]) for x in (q_grshk, *own)))
    return out.reshape(q_grshk.shape)


def _for_each(x_gmhk: jax.Array, rows: int) -> jax.Array:
    return jnp.broadcast_to(x_gmhk[:, None], (x_gmhk.shape[0], rows, *x_gmhk.shape[1:]))


def _all_scores(q_bshk: jax.Array, k_bmhk: jax.Array, v_bmhk: jax.Array) -> jax.Array:
    """Scores, their exponentials and sums are float32."""
    scale = q_bshk.shape[-1] ** -0.5
    q, k, v = (wide(jnp.swapaxes(x, 1, 2)) for x in (q_bshk, k_bmhk, v_bmhk))
    scores_bhsm = jnp.matmul(q, jnp.swapaxes(k, 2, 3), preferred_element_type=jnp.float32)
    weights = jnp.exp(scale * (scores_bhsm - scores_bhsm.max(axis=-1, keepdims=True)))
    summed = jnp.matmul(weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return jnp.swapaxes(summed / weights.sum(axis=-1, keepdims=True), 1, 2)


def wide(x: jax.Array) -> jax.Array:
    """float16 as float32 where the device lacks the product of the two."""
    return x.astype(jnp.float32) if x.dtype == jnp.float16 and jax.default_backend() != "gpu" else x
