"""Attention as one Pallas kernel for TPUs: scores never leave the chip, and the shared context is never copied.

The grid goes over rows, heads, blocks of queries and, innermost, blocks of keys: first the shared context's, then the
row's own. A block that stays the same between two steps is not fetched again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

_BLOCK = 512
"""Queries, or keys, of one block at the most."""
_LANES = 128


@dataclass(frozen=True)
class _Context:
    """Where a context's blocks lie in the innermost grid axis, and how many of its keys are real."""

    first: int
    blocks: int
    keys: int


def flash(q_grshk: jax.Array, shared, own, *, interpret: bool = False) -> jax.Array:
    """As `attention`. `interpret` runs the kernel on any device, slowly."""
    g, r, s, h, k = q_grshk.shape
    queries = _blocked(q_grshk.reshape(g * r, s, h, k))
    given = [context for context in (shared, own) if context]
    arrays = [[_blocked(x.reshape(-1, *x.shape[-3:])) for x in context] for context in given]
    counts = [keys.shape[2] // _block(keys.shape[2]) for keys, _ in arrays]
    starts = accumulate(counts, initial=0)
    contexts = [_Context(a, n, keys.shape[-3]) for a, n, (keys, _) in zip(starts, counts, given, strict=False)]
    rows_a_context = [r if context is shared else 1 for context in given]

    size = _block(queries.shape[2])
    query_spec = pl.BlockSpec((1, 1, size, k), lambda row, head, i, j: (row, head, i, 0))
    specs = [
        pl.BlockSpec((1, 1, _block(keys.shape[2]), k), partial(_where, context=context, rows=rows))
        for (keys, _), context, rows in zip(arrays, contexts, rows_a_context, strict=True)
        for _ in range(2)
    ]
    out = pl.pallas_call(
        partial(_kernel, contexts=contexts, scale=k**-0.5),
        grid=(g * r, h, queries.shape[2] // size, sum(counts)),
        in_specs=[query_spec, *specs],
        out_specs=query_spec,
        out_shape=jax.ShapeDtypeStruct(queries.shape, q_grshk.dtype),
        scratch_shapes=[pltpu.VMEM((size, width), jnp.float32) for width in (_LANES, _LANES, k)],
        interpret=interpret,
    )(queries, *(x for context in arrays for x in context))
    return jnp.swapaxes(out, 1, 2)[:, :s].reshape(q_grshk.shape)


def _block(padded: int) -> int:
    """The longest block, in multiples of 128, that divides a padded length."""
    return max(size for size in range(_LANES, _BLOCK + 1, _LANES) if padded % size == 0)


def _blocked(x_bshk: jax.Array) -> jax.Array:
    """(b, h, s, k) with s filled up with zeros to a multiple of 128."""
    x_bhsk = jnp.swapaxes(x_bshk, 1, 2)
    return jnp.pad(x_bhsk, [(0, 0), (0, 0), (0, -x_bhsk.shape[2] % _LANES), (0, 0)])


def _where(row, head, i, j, *, context: _Context, rows: int):
    """The block of a context at this step of the grid; before and after its turn the nearest one."""
    return lax.div(row, rows), head, jnp.clip(j - context.first, 0, context.blocks - 1), 0


def _product(a: jax.Array, b: jax.Array, *, contracted: int) -> jax.Array:
    """Over the last axis of `a` and one of `b`; float32 in all digits, whatever precision JAX is told outside."""
    precision = lax.Precision.HIGHEST if a.dtype == jnp.float32 else lax.Precision.DEFAULT
    axes = ((1,), (contracted,)), ((), ())
    return lax.dot_general(a, b, axes, precision=precision, preferred_element_type=jnp.float32)


def _kernel(q_ref, *refs, contexts: list[_Context], scale: float):
    *context_refs, out_ref, highest_ref, total_ref, summed_ref = refs
    j = pl.program_id(3)

    @pl.when(j == 0)
    def _():
        highest_ref[...] = jnp.full_like(highest_ref, -jnp.inf)
        total_ref[...] = jnp.zeros_like(total_ref)
        summed_ref[...] = jnp.zeros_like(summed_ref)

    for context, k_ref, v_ref in zip(contexts, context_refs[::2], context_refs[1::2], strict=True):

        @pl.when((j >= context.first) & (j < context.first + context.blocks))
        def _(context=context, k_ref=k_ref, v_ref=v_ref):
            k, v = k_ref[0, 0], v_ref[0, 0]
            scores = scale * _product(q_ref[0, 0], k, contracted=1)
            position = (j - context.first) * k.shape[0] + jax.lax.broadcasted_iota(jnp.int32, scores.shape, 1)
            scores = jnp.where(position < context.keys, scores, -jnp.inf)
            highest = highest_ref[:, :1]
            new = jnp.maximum(highest, scores.max(axis=1, keepdims=True))
            weights, decay = jnp.exp(scores - new), jnp.exp(highest - new)
            highest_ref[...] = jnp.broadcast_to(new, highest_ref.shape)
            total = total_ref[:, :1] * decay + weights.sum(axis=1, keepdims=True)
            total_ref[...] = jnp.broadcast_to(total, total_ref.shape)
            added = _product(weights.astype(v.dtype), v, contracted=0)
            summed_ref[...] = summed_ref[...] * decay + added

    @pl.when(j == pl.num_programs(3) - 1)
    def _():
        out_ref[0, 0] = (summed_ref[...] / total_ref[:, :1]).astype(out_ref.dtype)
