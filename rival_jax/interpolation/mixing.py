"""What lies between two values: of prompts on a line, of noise on an arc."""

from __future__ import annotations

import math
from typing import TypeVar

import jax
import jax.numpy as jnp

from rival_jax.options import SlerpAxis

Tree = TypeVar("Tree")

_COLINEAR = 0.9995
"""Above this cosine an arc is a line."""


def lerp(start: Tree, end: Tree, t: jax.Array) -> Tree:
    """On the line between trees of arrays; `t` is 0 ... 1, of the arrays' first axes.

    Exact at both ends, and where they are the same.
    """

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        weight, dtype = t.reshape(*t.shape, *[1] * (a.ndim - t.ndim)), a.dtype
        a, b = a.astype(jnp.float32), b.astype(jnp.float32)
        return jnp.where(weight < 0.5, a + weight * (b - a), b - (1 - weight) * (b - a)).astype(dtype)

    return jax.tree.map(one, start, end)


def slerp(start: jax.Array, end: jax.Array, t: jax.Array, axis: int = -1) -> jax.Array:
    """On the arc between vectors along an axis of two arrays of one shape; `t` is 0 ... 1, of their first axes.

    Vectors of almost one direction, and zero ones, are mixed on a line. Source: AID's `slerp`.
    """
    weight = t.reshape(*t.shape, *[1] * (start.ndim - t.ndim))
    lengths = [jnp.linalg.norm(x, axis=axis, keepdims=True) for x in (start, end)]
    cosine = (start * end).sum(axis=axis, keepdims=True) / (lengths[0] * lengths[1])
    is_line = ~(jnp.abs(cosine) <= _COLINEAR)  # so is what is no number
    angle = jnp.arccos(jnp.where(is_line, 0.0, cosine))
    arc = (jnp.sin((1 - weight) * angle) * start + jnp.sin(weight * angle) * end) / jnp.sin(angle)
    return jnp.where(is_line, lerp(start, end, t), arc)


def noise_between(start: jax.Array, end: jax.Array, t: jax.Array, along: SlerpAxis) -> jax.Array:
    """Latents (e, n, y, x, c) on the arcs between two (e, y, x, c), at t (e, n).

    along: what is one vector: a row of a channel ("width", the authors'), or all of a latent ("flat").
    """
    e, n = t.shape
    shape = (e, n, *start.shape[1:])
    one, other = (jnp.broadcast_to(x[:, None], shape) for x in (start, end))
    if along == "width":
        return slerp(one, other, t, axis=-2)
    return slerp(one.reshape(e, n, -1), other.reshape(e, n, -1), t).reshape(shape)


def warmup_steps(num_inference_steps: int, warmup_ratio: float, *, legacy: bool = False) -> int:
    """The steps, from the first, in which attention is interpolated; `legacy` counts as the paper's evaluation did."""
    steps = math.floor(num_inference_steps * warmup_ratio)
    return max(steps - legacy, 0)
