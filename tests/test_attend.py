"""Who attends to whom: against the equations written out row by row, and what it costs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rival_jax.attend import FromReference, plain
from rival_jax.models.attention import Attention

WIDTH, HEADS, TOKENS, GROUPS, ROWS = 16, 2, 9, 2, 4
STAGES = [FromReference(ROWS, keep_own=False), FromReference(ROWS, keep_own=True)]
IDS = ["replace", "concat"]


@pytest.fixture(scope="module")
def attention():
    return Attention(WIDTH, HEADS, dtype=jnp.float32, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def x_bsd():
    return np.random.default_rng(1).standard_normal((GROUPS * ROWS, TOKENS, WIDTH), np.float32)


@partial(jax.jit, static_argnums=(0, 1))
def run(attend, graphdef, state, x_bsd, text_bmd):
    attention = nnx.merge(graphdef, state)
    return attend(attention, x_bsd, None if text_bmd is None else attention.kv(text_bmd))


def attended(attend, attention, x_bsd, text_bmd=None):
    return np.asarray(run(attend, *nnx.split(attention), x_bsd, text_bmd))


def softmax_attention(attention, queries_sd, context_md):
    """One row's attention, (s, h, k), by the textbook."""
    q, k, v = (
        (side @ np.asarray(projection.kernel[...])).reshape(-1, HEADS, WIDTH // HEADS)
        for side, projection in (
            (queries_sd, attention.to_q),
            (context_md, attention.to_k),
            (context_md, attention.to_v),
        )
    )
    scores = np.exp(np.einsum("shk,mhk->hsm", q, k) / np.sqrt(WIDTH // HEADS))
    return np.einsum("hsm,mhk->shk", scores / scores.sum(-1, keepdims=True), v)


@pytest.mark.parametrize("attend", STAGES, ids=IDS)
def test_every_row_by_itself(attention, x_bsd, attend):
    """Eq. 3: a reference attends to itself; a generated row to its group's reference, and in `concat` to itself too."""
    out = attended(attend, attention, x_bsd)
    assert out.shape == (GROUPS * ROWS, TOKENS, HEADS, WIDTH // HEADS)
    for row in range(GROUPS * ROWS):
        reference = x_bsd[row - row % ROWS]
        own = [x_bsd[row]] if attend.keep_own and row % ROWS else []
        expected = softmax_attention(attention, x_bsd[row], np.concatenate([reference, *own]))
        np.testing.assert_allclose(out[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attend", STAGES, ids=IDS)
def test_rows_equal_to_their_reference_attend_plainly(attention, x_bsd, attend):
    same = np.repeat(x_bsd[::ROWS], ROWS, axis=0)
    expected = attended(plain, attention, same)
    np.testing.assert_allclose(attended(attend, attention, same), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attend", STAGES, ids=IDS)
def test_the_reference_row_reads_no_other(attention, x_bsd, attend):
    others = np.where(np.arange(GROUPS * ROWS)[:, None, None] % ROWS, np.float32(7), x_bsd)
    before, after = (attended(attend, attention, x)[::ROWS] for x in (x_bsd, others))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("attend", STAGES, ids=IDS)
def test_cross_attention_is_untouched(attention, x_bsd, attend):
    text_bmd = np.random.default_rng(2).standard_normal((GROUPS * ROWS, 5, WIDTH), np.float32)
    both = (attended(value, attention, x_bsd, text_bmd) for value in (attend, plain))
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize(
    ("attend", "contexts"),
    [
        (STAGES[0], [(GROUPS, TOKENS, WIDTH)]),
        (STAGES[1], [(GROUPS, TOKENS, WIDTH), (GROUPS, ROWS - 1, TOKENS, WIDTH)]),
    ],
    ids=IDS,
)
def test_keys_and_values_are_projected_once_a_group(x_bsd, attend, contexts):
    """Of the references once for all their rows; of generated rows never in `replace`, once in `concat`."""
    asked = []

    class Counting(Attention):
        def kv(self, context_bmd):
            asked.append(context_bmd.shape)
            return super().kv(context_bmd)

    attended(attend, Counting(WIDTH, HEADS, dtype=jnp.float32, rngs=nnx.Rngs(0)), x_bsd)
    assert asked == contexts


def test_what_it_costs(attention, x_bsd):
    """The compiled `replace` leaves out the generated rows' projections and so costs less than plain attention."""

    def flops(attend):
        return run.lower(attend, *nnx.split(attention), x_bsd, None).compile().cost_analysis()["flops"]

    replace, concat, ordinary = (flops(attend) for attend in (*STAGES, plain))
    projections = 2 * 2 * GROUPS * (ROWS - 1) * TOKENS * WIDTH * WIDTH  # keys and values of the generated rows
    assert ordinary - replace == pytest.approx(projections, rel=0.05)
    assert concat - ordinary >= 2 * 2 * GROUPS * (ROWS - 1) * TOKENS * TOKENS * WIDTH * 0.95  # twice as many keys
