"""Who attends to whom: the one place where a method reaches into the UNet.

A value here is handed to the UNet as `attend` and is called by every attention layer with the layer, its input and, in
cross-attention, the prompt's keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import jax
import jax.numpy as jnp

from rival_jax.kernels import KeysValues, attention
from rival_jax.models.attention import Attend, Attention, Plain, plain
from rival_jax.options import Backend, Kind

__all__ = [
    "Attend",
    "Between",
    "FromKept",
    "FromMaps",
    "FromReference",
    "FromReferenceMaps",
    "Keep",
    "Later",
    "Plain",
    "WithPictures",
    "between",
    "plain",
]

_MOST_POSITIONS = 32**2
"""Of a layer whose maps of positions are taken over; finer ones keep their own."""


@dataclass(frozen=True)
class FromReference:
    """Self-attention in which generated rows read the reference row of their group.

    The rows of a call are groups of `rows`; the first of each group is the reference, which attends to itself. Its keys
    and values are computed once for the whole group.

    rows: r, 1 or more.
    keep_own: False is the early stage (keys and values from the reference only; the generated rows' own are never
        computed), True the late one (one softmax over both).
    backend: as of `Plain`.

    Source: RIVAL Eq. 2 and 3.
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
    """Plain attention that keeps the input of every self-attention layer, in the order of use.

    states: a list to which these are added, (b, s, d) each.
    backend: as of `Plain`.
    """

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
    keep_own: as of `FromReference`.
    backend: as of `Plain`.
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


@dataclass(frozen=True)
class Between:
    """Attention, to positions and to prompts alike, in which rows between two ends read both of these.

    The rows of a call are groups of two ends, n rows between them, and the n negative halves of these. The ends and
    the negative halves attend to themselves.

    coefficients_gn: 0 (the start) ... 1 (the end), float32 (g, n).
    kind: "outer" or "inner", as for `between`.
    fused: whether rows between them read themselves too.
    backend: as of `Plain`.

    Source: AID section 3.2.
    """

    coefficients_gn: jax.Array
    kind: Kind
    fused: bool
    backend: Backend | None = None

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        g, n = self.coefficients_gn.shape

        def grouped(rows: jax.Array) -> jax.Array:
            return rows.reshape(g, -1, *rows.shape[1:])

        q_grshk = grouped(layer.q(x_bsd))
        kv = jax.tree.map(grouped, layer.kv(x_bsd) if text is None else text)

        def part(rows: int | slice) -> KeysValues:
            return jax.tree.map(lambda x: x[:, rows], kv)

        def alone(x: jax.Array) -> jax.Array:
            return jnp.concatenate([x[:, :2], x[:, 2 + n :]], axis=1)

        plainly = attention(alone(q_grshk), own=jax.tree.map(alone, kv), backend=self.backend)
        inner = slice(2, 2 + n)
        own, ends = part(inner) if self.fused else None, (part(0), part(1))
        mixed = between(q_grshk[:, inner], own, ends, self.coefficients_gn, self.kind, self.backend)
        return _rows(jnp.concatenate([plainly[:, :2], mixed, plainly[:, 2:]], axis=1))


@dataclass(frozen=True)
class FromMaps:
    """Attention in which rows of the target's half weigh their own values as the reference row weighs its own.

    The rows of a call are groups of the reference, n of the target's half and n of the negative one; the reference and
    the negative half attend to themselves.

    words_gm: which of the reference's m tokens each token of the target stands for, (g, m) int, -1 for those that are
        new and keep their weights.
    positions: whether maps of positions are the reference's too, up to 32 x 32.
    backend: as of `Plain`.

    Source: Prompt-to-Prompt, section 3.2 (https://arxiv.org/abs/2208.01626).
    """

    words_gm: jax.Array
    positions: bool
    backend: Backend | None = None

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        plainly = Plain(self.backend)(layer, x_bsd, text)
        if text is None and not (self.positions and x_bsd.shape[1] <= _MOST_POSITIONS):
            return plainly

        def grouped(rows: jax.Array) -> jax.Array:
            return rows.reshape(len(self.words_gm), -1, *rows.shape[1:])

        q_grshk, (k_grmhk, v_grmhk) = grouped(layer.q(x_bsd)), map(grouped, layer.kv(x_bsd) if text is None else text)
        alone = grouped(plainly)
        target = slice(1, 1 + alone.shape[1] // 2)
        weights = _weights(q_grshk[:, :1], k_grmhk[:, :1])
        if text is not None:
            words = self.words_gm[:, None, None, None]
            taken = jnp.take_along_axis(weights, jnp.maximum(words, 0), axis=-1)
            weights = jnp.where(words >= 0, taken, _weights(q_grshk[:, target], k_grmhk[:, target]))
        values = v_grmhk[:, target]
        weights = jnp.broadcast_to(weights, (*values.shape[:2], *weights.shape[2:])).astype(values.dtype)
        read = jnp.einsum("grhsm,grmhk->grshk", weights, values)
        return _rows(jnp.concatenate([alone[:, :1], read, alone[:, target.stop :]], axis=1))


@dataclass(frozen=True)
class FromReferenceMaps:
    """Self-attention in which all generated rows weigh their own values as the reference row of their group does.

    rows: r, as for `FromReference`.
    backend: as of `Plain`.

    Source: Plug-and-Play, section 4 (https://arxiv.org/abs/2211.12572).
    """

    rows: int
    backend: Backend | None = None

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        if text is not None:
            return Plain(self.backend)(layer, x_bsd, text)
        x_grsd = x_bsd.reshape(-1, self.rows, *x_bsd.shape[1:])
        keys, values = layer.kv(x_grsd)
        weights = _weights(layer.q(x_grsd[:, :1]), keys[:, :1])[:, 0].astype(values.dtype)
        return _rows(jnp.einsum("ghsm,grmhk->grshk", weights, values))


@dataclass(frozen=True)
class Later:
    """Attention that is plain in the first self-attention layers of a call.

    attend: who attends to whom in the others.
    first: the first of these, 0 ... the number of layers.
    backend: as of `Plain`.
    layers: counts from 0 on; a value of its own for each call.

    Source: MasaCtrl, section 3.2 (https://arxiv.org/abs/2304.08465).
    """

    attend: Attend
    first: int
    backend: Backend | None = None
    layers: Iterator[int] = field(default_factory=count)

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        if text is not None or next(self.layers) < self.first:
            return Plain(self.backend)(layer, x_bsd, text)
        return self.attend(layer, x_bsd, text)


@dataclass(frozen=True)
class WithPictures:
    """Cross-attention that reads pictures beside prompts: what is attended to of both is added.

    The layers are handed pairs of keys and values, of prompts and of pictures.

    attend: who attends to whom among positions and prompts.
    scales_b: weights of the pictures, (b,).
    is_plain: whether pictures are attended to by each row alone, whoever attends to whom else.
    backend: as of `Plain`.

    Source: IP-Adapter, Eq. 5 (https://arxiv.org/abs/2308.06721).
    """

    attend: Attend
    scales_b: jax.Array
    is_plain: bool = False
    backend: Backend | None = None

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: tuple[KeysValues, KeysValues] | None) -> jax.Array:
        if text is None:
            return self.attend(layer, x_bsd, None)
        prompts, pictures = text
        read = self.attend(layer, x_bsd, prompts)
        seen = (Plain(self.backend) if self.is_plain else self.attend)(layer, x_bsd, pictures)
        return read + self.scales_b[:, None, None, None].astype(read.dtype) * seen


def between(
    q_grshk: jax.Array,
    own: KeysValues | None,
    ends: tuple[KeysValues, KeysValues],
    coefficients_gr: jax.Array,
    kind: Kind,
    backend: Backend | None = None,
) -> jax.Array:
    """Attention (g, r, s, h, k) of queries to the keys and values of two ends, and to their own.

    Args:
        q_grshk: the queries.
        own: keys and values (g, r, m, h, k) under one softmax with the ends' ("fused"), or None ("pure").
        ends: keys and values (g, m, h, k) of the start and of the end.
        coefficients_gr: 0 (the start) ... 1 (the end), (g, r).
        kind: "outer" mixes what attention makes of either end, "inner" the keys and values of the ends before it; with
            the weights 1 - coefficient and coefficient, in float32.
        backend: as of `Plain`.

    Source: AID Eq. 5-8.
    """

    def mixed(start: jax.Array, end: jax.Array) -> jax.Array:
        t = coefficients_gr.reshape(*coefficients_gr.shape, *[1] * (q_grshk.ndim - 2))
        return ((1 - t) * start.astype(jnp.float32) + t * end.astype(jnp.float32)).astype(start.dtype)

    if kind == "outer":
        return mixed(*(attention(q_grshk, end, own, backend=backend) for end in ends))
    context: KeysValues = jax.tree.map(lambda start, end: mixed(start[:, None], end[:, None]), *ends)
    if own is not None:
        context = jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=2), own, context)
    return attention(q_grshk, own=context, backend=backend)


def _weights(q_grshk: jax.Array, k_grmhk: jax.Array) -> jax.Array:
    """What positions s make of keys m: (g, r, h, s, m) float32."""
    scores = jnp.einsum("grshk,grmhk->grhsm", q_grshk, k_grmhk, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores * q_grshk.shape[-1] ** -0.5, axis=-1)


def _rows(x_grshk: jax.Array) -> jax.Array:
    return x_grshk.reshape(-1, *x_grshk.shape[2:])
