"""Interpolated attention by its formulas: the spec's acceptance cases 1 to 9."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rival_jax.attend import Between, Plain, between
from rival_jax.kernels import attention
from rival_jax.models.attention import Attention

HEADS, TOKENS, WIDTH, ROWS = 2, 6, 8, 3
CASES = [(kind, fused) for kind in ("outer", "inner") for fused in (False, True)]
ALL = pytest.mark.parametrize(("kind", "fused"), CASES, ids=[f"{'fused' if f else 'pure'}-{k}" for k, f in CASES])


def draw(*shape, seed):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


QUERIES = draw(1, ROWS, TOKENS, HEADS, WIDTH, seed=0)
OWN = tuple(draw(1, ROWS, TOKENS, HEADS, WIDTH, seed=seed) for seed in (1, 2))
START, END = (tuple(draw(1, TOKENS, HEADS, WIDTH, seed=seed + end) for seed in (3, 5)) for end in (0, 1))
T = jnp.asarray([[0.2, 0.5, 0.9]])


def mixed(kind, fused, *, queries=QUERIES, own=OWN, start=START, end=END, t=T):
    program = jax.jit(lambda *args: between(args[0], args[1], (args[2], args[3]), args[4], kind, "dense"))
    return np.asarray(program(queries, own if fused else None, start, end, t))


def alone(context, queries=QUERIES):
    """Plain attention of every row to a context (g, m, h, k), or to one a row."""
    shared = context[0].ndim == 4
    return np.asarray(attention(queries, context if shared else None, None if shared else context, "dense"))


def one_row(kv, row):
    return tuple(x[:, row] for x in kv)


@ALL
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_1_at_the_ends(kind, fused, t):
    """A row that is the start (or the end) itself attends as if it were alone."""
    kv = one_row(OWN, 0)
    ends = {"start": kv} if t == 0 else {"end": kv}
    found = mixed(kind, fused, queries=QUERIES[:, :1], own=tuple(x[:, :1] for x in OWN), t=jnp.full((1, 1), t), **ends)
    wanted = alone(kv, QUERIES[:, :1])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 if fused else 0)


@pytest.mark.parametrize("kind", ["outer", "inner"])
@pytest.mark.parametrize(("t", "context"), [(0.0, START), (1.0, END)])
def test_2_pure_limits(kind, t, context):
    """A row between reads the end that it is nearest to, and not itself."""
    found = mixed(kind, False, t=jnp.full((1, ROWS), t))
    np.testing.assert_allclose(found, alone(context), rtol=0, atol=1e-6)
    assert np.abs(found - alone(OWN)).max() > 1e-2


@pytest.mark.parametrize("fused", [False, True])
def test_3_and_4_when_kinds_differ(fused):
    """With the ends' keys equal both kinds are the same; with their values equal they are not."""
    same_keys = {"start": START, "end": (START[0], END[1])}
    np.testing.assert_allclose(
        mixed("outer", fused, **same_keys), mixed("inner", fused, **same_keys), rtol=0, atol=1e-6
    )
    same_values = {"start": START, "end": (END[0], START[1])}
    assert np.abs(mixed("outer", fused, **same_values) - mixed("inner", fused, **same_values)).max() > 1e-3


@ALL
def test_5_all_alike(kind, fused):
    own = tuple(jnp.broadcast_to(x[:, None], (1, ROWS, *x.shape[1:])) for x in START)
    np.testing.assert_allclose(mixed(kind, fused, own=own, end=START), alone(START), rtol=0, atol=1e-6)


@ALL
def test_6_reversed(kind, fused):
    found = mixed(kind, fused, start=END, end=START, t=1 - T)
    np.testing.assert_allclose(found, mixed(kind, fused), rtol=0, atol=1e-6)


@ALL
def test_7_order_of_tokens(kind, fused):
    """Keys and values that change places together change nothing."""
    order = np.random.default_rng(9).permutation(TOKENS)
    moved = {"start": tuple(x[:, order] for x in START), "end": tuple(x[:, order] for x in END)}
    own = tuple(x[:, :, order[::-1]] for x in OWN)
    np.testing.assert_allclose(mixed(kind, fused, own=own, **moved), mixed(kind, fused), rtol=0, atol=1e-6)


@ALL
def test_8_rows_do_not_meet(kind, fused):
    others = [0, 2]
    queries, own = QUERIES.at[:, 1].add(1.0), tuple(x.at[:, 1].add(1.0) for x in OWN)
    found, before = mixed(kind, fused, queries=queries, own=own), mixed(kind, fused)
    np.testing.assert_array_equal(found[:, others], before[:, others])
    assert (found[:, 1] != before[:, 1]).any()


@ALL
def test_9_own_keys(kind, fused):
    """Matter to what is fused alone."""
    found = mixed(kind, fused, own=tuple(x + 1 for x in OWN))
    assert (found != mixed(kind, fused)).any() == fused


@ALL
@pytest.mark.parametrize("has_text", [False, True])
def test_10_ends_and_negative_halves_are_plain(kind, fused, has_text):
    """Of two groups of start, end, three rows between and their negative halves only the rows between read others."""
    layer = Attention(8, 2, dtype=jnp.float32, rngs=nnx.Rngs(0))
    rows, t = draw(16, TOKENS, 8, seed=7), jnp.asarray([[0.2, 0.5, 0.9], [0.1, 0.3, 0.6]])
    text = layer.kv(draw(16, 5, 8, seed=8)) if has_text else None
    found = np.asarray(Between(t, kind, fused)(layer, rows, text)).reshape(2, 8, TOKENS, 2, 4)
    plain = np.asarray(Plain()(layer, rows, text)).reshape(found.shape)
    np.testing.assert_allclose(found[:, [0, 1, 5, 6, 7]], plain[:, [0, 1, 5, 6, 7]], rtol=0, atol=1e-6)
    queries = layer.q(rows).reshape(found.shape)
    kv = jax.tree.map(lambda x: x.reshape(2, 8, *x.shape[1:]), text if has_text else layer.kv(rows))
    own, start, end = (jax.tree.map(lambda x, i=i: x[:, i], kv) for i in (slice(2, 5), 0, 1))
    wanted = between(queries[:, 2:5], own if fused else None, (start, end), t, kind, "dense")
    np.testing.assert_allclose(found[:, 2:5], wanted, rtol=0, atol=1e-6)
    assert np.abs(found[:, 2:5] - plain[:, 2:5]).max() > 1e-2
