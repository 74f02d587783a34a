"""Who attends to whom: the one place where a method reaches into the UNet.

A value here is handed to the UNet as `attend` and is called by every attention layer with the layer, its input and, in
cross-attention, the prompt's keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from rival_jax.kernels import KeysValues, attention
from rival_jax.models.attention import Attention, Plain, plain
from rival_jax.options import Backend

__all__ = ["FromKept", "FromReference", "Keep", "Plain", "plain"]


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
    backend: Backend | None = None

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        if text is not None:
            return Plain(self.backend)(layer, x_bsd, text)
        x_grsd = x_bsd.reshape(-1, self.rows, *x_bsd.shape[1:])
        q_grshk, reference = layer.q(x_grsd), layer.kv(x_grsd[:, 0])
        if self.keep_own:
            referred = attention(q_grshk[:, :1], reference, backend=self.backend)
            generated = attention(q_grshk[:, 1:], reference, layer.kv(x_grsd[:, 1:]), backend=self.backend)
            joined = jnp.concatenate([referred, generated], axis=1)
        else:
            joined = attention(q_grshk, reference, backend=self.backend)
        return _rows(joined)


@dataclass(frozen=True)
class Keep:
    """Plain attention that keeps the input of every self-attention layer, in the order of use."""

    states: list[jax.Array]
    backend: Backend | None = None

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        if text is None:
            self.states.append(x_bsd)
        return Plain(self.backend)(layer, x_bsd, text)


@dataclass(frozen=True)
class FromKept:
    """`FromReference` whose reference ran earlier: a call's rows are all generated, and `states` what `Keep` kept.

    states: (g, s, d) for each self-attention layer, of the references of g groups of rows.
    """

    states: Iterator[jax.Array]
    keep_own: bool
    backend: Backend | None = None

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        if text is not None:
            return Plain(self.backend)(layer, x_bsd, text)
        reference_gsd = next(self.states)
        x_grsd = x_bsd.reshape(len(reference_gsd), -1, *x_bsd.shape[1:])
        own = layer.kv(x_grsd) if self.keep_own else None
        return _rows(attention(layer.q(x_grsd), layer.kv(reference_gsd), own, backend=self.backend))


def _rows(x_grshk: jax.Array) -> jax.Array:
    return x_grshk.reshape(-1, *x_grshk.shape[2:])
