"""Attention by whichever kernel was asked for, or suits."""

from __future__ import annotations

import jax

from rival_jax.kernels.choice import choose
from rival_jax.kernels.chunked import chunked
from rival_jax.kernels.dense import cudnn, dense
from rival_jax.kernels.pallas import flash
from rival_jax.options import Backend

KeysValues = tuple[jax.Array, jax.Array]


def attention(
    q_grshk: jax.Array,
    shared: KeysValues | None = None,
    own: KeysValues | None = None,
    backend: Backend | None = None,
) -> jax.Array:
    """softmax(q k^T / sqrt(width)) v over the shared and the own context as one, (g, r, s, h, k) like the queries.

    Args:
        q_grshk: queries of r rows in each of g groups.
        shared: keys and values (g, m, h, k) that all rows of a group read. "chunked" and "pallas" never copy them for
            the rows, nor does any without a context of the rows' own.
        own: keys and values (g, r, m, h, k), a row's own.
        backend: None chooses by device, dtype and shape, as `choose` says. Scores and sums are float32 in all.
    """
    g, r, s, h, k = q_grshk.shape
    keys = sum(context[0].shape[-3] for context in (shared, own) if context)
    backend = choose(q_grshk.dtype, rows=g * r, queries=s, keys=keys, heads=h, width=k) if backend is None else backend
    ways = {"dense": dense, "cudnn": cudnn, "chunked": chunked, "pallas": flash}
    return ways[backend](q_grshk, shared, own).astype(q_grshk.dtype)
