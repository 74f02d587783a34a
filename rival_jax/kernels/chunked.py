"""Attention a few scores at a time, in plain JAX: memory does not grow with queries x keys.

Source: Rabe and Staats 2021, "Self-attention does not need O(n^2) memory".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from rival_jax.kernels.dense import wide

_SCORES = 2**24
"""Scores that are held at once, 64 MiB of float32, unless the shortest chunks have more."""
_SHORTEST, _LONGEST = 64, 1024
"""Queries, or keys, of one chunk."""

State = tuple[jax.Array, jax.Array, jax.Array]
"""Of products q k^T seen so far, float32: the highest (..., s), the sum of exp((product - highest) / sqrt(width))
(..., s), and the sum of the values so weighted (..., s, k)."""


def chunked(q_grshk: jax.Array, shared, own) -> jax.Array:
    """As `attention`. The shared context is read where it is, for all rows of a group at once."""
    g, r, s, h, k = q_grshk.shape
    side = min(max(int((_SCORES / (g * r * h)) ** 0.5), _SHORTEST), _LONGEST)
    length = min(side, s)
    q_grhsk = _heads_first(q_grshk)
    shared = [_heads_first(x) for x in shared or ()]
    own = [_heads_first(x).reshape(g * r, h, -1, k) for x in own or ()]
    padded = jnp.pad(q_grhsk, [(0, 0)] * 3 + [(0, -s % length), (0, 0)])
    chunks = jnp.moveaxis(padded.reshape(g, r, h, -1, length, k), 3, 0)

    def block(q_grhck: jax.Array) -> jax.Array:
        states = []
        if shared:
            folded = jnp.swapaxes(q_grhck, 1, 2).reshape(g, h, r * length, k)
            state = (x.reshape(g, h, r, length, *x.shape[3:]) for x in _read(folded, shared[0], shared[1], side))
            states.append(tuple(jnp.swapaxes(x, 1, 2) for x in state))
        if own:
            state = _read(q_grhck.reshape(g * r, h, length, k), own[0], own[1], side)
            states.append(tuple(x.reshape(g, r, *x.shape[1:]) for x in state))
        return _merged(states, k**-0.5).astype(q_grshk.dtype)

    out_grhsk = jnp.moveaxis(lax.map(block, chunks), 0, 3).reshape(g, r, h, -1, k)[:, :, :, :s]
    return jnp.swapaxes(out_grhsk, 2, 3)


def _heads_first(x: jax.Array) -> jax.Array:
    return wide(jnp.swapaxes(x, -3, -2))


def _read(q_bhsk: jax.Array, k_bhmk: jax.Array, v_bhmk: jax.Array, side: int) -> State:
    """Goes over one context in chunks."""
    keys, scale = k_bhmk.shape[2], k_bhmk.shape[3] ** -0.5
    length = min(side, keys)

    def step(state: State, start: jax.Array) -> tuple[State, None]:
        highest, total, summed = state
        first = jnp.minimum(start, keys - length)  # the last chunk overlaps the one before it
        k, v = (lax.dynamic_slice_in_dim(x, first, length, axis=2) for x in (k_bhmk, v_bhmk))
        scores = jnp.matmul(q_bhsk, jnp.swapaxes(k, 2, 3), preferred_element_type=jnp.float32)
        if keys % length:
            scores = jnp.where(first + jnp.arange(length) >= start, scores, -jnp.inf)
        new = jnp.maximum(highest, scores.max(axis=-1))
        weights, decay = jnp.exp(scale * (scores - new[..., None])), jnp.exp(scale * (highest - new))
        added = jnp.matmul(weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
        return (new, total * decay + weights.sum(axis=-1), summed * decay[..., None] + added), None

    shape = q_bhsk.shape
    start = jnp.full(shape[:3], -jnp.inf, jnp.float32), jnp.zeros(shape[:3], jnp.float32), jnp.zeros(shape, jnp.float32)
    return lax.scan(step, start, jnp.arange(0, keys, length))[0]


def _merged(states: list[State], scale: float) -> jax.Array:
    """The weighted mean of the values of all contexts."""
    highest = states[0][0] if len(states) == 1 else jnp.maximum(states[0][0], states[1][0])
    shares = [jnp.exp(scale * (state[0] - highest)) for state in states]
    total = jnp.stack([state[1] * share for state, share in zip(states, shares, strict=True)]).sum(axis=0)
    summed = jnp.stack([state[2] * share[..., None] for state, share in zip(states, shares, strict=True)]).sum(axis=0)
    return summed / total[..., None]
