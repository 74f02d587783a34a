"""The rows of a call: which is which, what they are told, and what they are before prompts are read."""

import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.rows import Layout

E, N = 2, 3
LAYOUTS = {  # of one exemplar: all rows, and those before the first cross-attention
    0: ("pppnnn", "ggg"),
    1: ("Rpppnnn", "Rggg"),
    2: ("RpppEnnn", "Rggg"),
}
IDS = np.arange(E, dtype=np.float32).reshape(E, 1)


@pytest.mark.parametrize("references", LAYOUTS)
def test_texts(references):
    """Each row's prompt: source 0, empty 1, positive 2, negative 3."""
    kinds = jnp.asarray(IDS + 10 * np.arange(4, dtype=np.float32))
    told = Layout(references, N).texts(kinds[:, :2], kinds[:, 2:])
    numbers = dict(zip("REpn", range(4), strict=True))
    np.testing.assert_array_equal(told, [10 * numbers[row] + e for e in range(E) for row in LAYOUTS[references][0]])


@pytest.mark.parametrize("references", LAYOUTS)
def test_latents(references):
    """Every variation once before prompts are read, twice after; the reference once, or once a half."""
    layout = Layout(references, N)
    generated = jnp.asarray(100 + np.arange(E * N, dtype=np.float32).reshape(E, N))
    rows = layout.latents(jnp.asarray(IDS[:, 0]), generated)
    expected = [list(IDS[e]) * min(references, 1) + list(generated[e]) for e in range(E)]
    np.testing.assert_array_equal(rows, np.concatenate(expected))
    spread = layout.spread(rows)
    assert len(spread) == E * len(LAYOUTS[references][0])
    reference, positive, negative = layout.split(spread)
    np.testing.assert_array_equal(positive, generated)
    np.testing.assert_array_equal(negative, generated)
    np.testing.assert_array_equal(reference, IDS[:, :1] if references else np.zeros((E, 0)))
    firsts = np.asarray(spread).reshape(E, -1)[:, 0]
    np.testing.assert_array_equal(firsts, IDS[:, 0] if references else generated[:, 0])


@pytest.mark.parametrize("references", LAYOUTS)
def test_split_reverses_join(references):
    rng = np.random.default_rng(0)
    own, halves = rng.standard_normal((E, references, 5)), rng.standard_normal((E, 2, N, 5))
    layout = Layout(references, N)
    reference, positive, negative = layout.split(layout.join(jnp.asarray(own), jnp.asarray(halves)))
    np.testing.assert_array_equal(reference, own[:, :1].astype(np.float32))
    np.testing.assert_array_equal(positive, halves[:, 0].astype(np.float32))
    np.testing.assert_array_equal(negative, halves[:, 1].astype(np.float32))
