"""Who attends to whom: the one place where a method reaches into the UNet.

A value here is handed to the UNet as `attend` and is called by every attention layer with the layer, its input and, in
cross-attention, the prompt. It also knows how the rows of the batch are laid out.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from rival_jax.models.attention import Attention, plain, sdpa

__all__ = ["FromReference", "plain"]


@dataclass(frozen=True)
class FromReference:
    """Self-attention in which generated rows read the reference row of their group.

    The rows of a call are groups of `rows`; the first of each group is the reference, which attends to itself. Its keys
    and values are computed once for the whole group.

    Source: RIVAL Eq. 2 and 3. `keep_own=False` is the early stage (keys and values from the reference only; the
    generated rows' own are never computed), `keep_own=True` the late one (one softmax over both).
    """

    rows: int
    keep_own: bool

    def __call__(self, attention: Attention, x_bsd: jax.Array, text_bmd: jax.Array | None) -> jax.Array:
        if text_bmd is not None:
            return plain(attention, x_bsd, text_bmd)
        b, s, d = x_bsd.shape
        x_grsd = x_bsd.reshape(b // self.rows, self.rows, s, d)
        q_grshk = attention.q(x_grsd)
        reference = attention.kv(x_grsd[:, 0])
        if not self.keep_own:
            g, r, s, h, k = q_grshk.shape
            return sdpa(q_grshk.reshape(g, r * s, h, k), *reference).reshape(b, s, h, k)
        own = attention.kv(x_grsd[:, 1:])
        both = (jnp.concatenate([_beside(a, b), b], axis=2) for a, b in zip(reference, own, strict=True))
        q_generated, (k_generated, v_generated) = q_grshk[:, 1:], both
        generated = sdpa(_rows(q_generated), _rows(k_generated), _rows(v_generated))
        referred = sdpa(q_grshk[:, 0], *reference)
        joined = jnp.concatenate([referred[:, None], generated.reshape(q_generated.shape)], axis=1)
        return _rows(joined)


def _beside(reference_gshk: jax.Array, own_grshk: jax.Array) -> jax.Array:
    """The reference's keys or values for every generated row of its group."""
    return jnp.broadcast_to(reference_gshk[:, None], own_grshk.shape)


def _rows(x_grshk: jax.Array) -> jax.Array:
    return x_grshk.reshape(-1, *x_grshk.shape[2:])
