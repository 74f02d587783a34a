"""The rows of a call: which is which, what they are told, and what they are before prompts are read."""

import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.rows import Layout

E, N = 2, 3
LAYOUTS = {  # of one exemplar: all rows
    Layout(0, N): "pppnnn",
    Layout(1, N): "Rpppnnn",
    Layout(2, N): "RpppEnnn",
    Layout(2, N, ends=True): "REpppnnn",
}
IDS = np.arange(E, dtype=np.float32).reshape(E, 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_texts(layout):
    """Each row's prompt: source 0, or start; empty 1, or end; positive 2, negative 3."""
    told = layout.texts(jnp.asarray(IDS + 10 * np.arange(4, dtype=np.float32)))
    numbers = dict(zip("REpn", range(4), strict=True))
    np.testing.assert_array_equal(told, [10 * numbers[row] + e for e in range(E) for row in LAYOUTS[layout]])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_own_texts(layout):
    """Of each variation, in place of the positive prompt's."""
    own = 100 + np.arange(E * N, dtype=np.float32).reshape(E, N)
    told = layout.texts(jnp.asarray(IDS + 10 * np.arange(4, dtype=np.float32)), jnp.asarray(own))
    rows = "".join(LAYOUTS[layout] * E)
    np.testing.assert_array_equal(np.asarray(told)[[row == "p" for row in rows]], own.ravel())
    rest = [10 * "REpn".index(row) + e for e in range(E) for row in LAYOUTS[layout] if row != "p"]
    np.testing.assert_array_equal(np.asarray(told)[[row != "p" for row in rows]], rest)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_latents(layout):
    """Every variation once before prompts are read, twice after; a reference once, or once a half; ends once each."""
    generated = jnp.asarray(100 + np.arange(E * N, dtype=np.float32).reshape(E, N))
    latents = IDS + np.array([0, 50], np.float32) if layout.ends else IDS
    own = latents if layout.references else latents[:, :0]
    rows = layout.latents(jnp.asarray(latents), generated)
    np.testing.assert_array_equal(rows, np.concatenate([own, generated], axis=1).ravel())
    spread = layout.spread(rows)
    assert len(spread) == E * len(LAYOUTS[layout])
    references, positive, negative = layout.split(spread)
    np.testing.assert_array_equal(positive, generated)
    np.testing.assert_array_equal(negative, generated)
    np.testing.assert_array_equal(references, own)
    firsts = np.asarray(spread).reshape(E, -1)[:, 0]
    np.testing.assert_array_equal(firsts, latents[:, 0] if layout.references else generated[:, 0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_reverses_join(layout):
    rng = np.random.default_rng(0)
    own, halves = rng.standard_normal((E, layout.references, 5)), rng.standard_normal((E, 2, N, 5))
    references, positive, negative = layout.split(layout.join(jnp.asarray(own), jnp.asarray(halves)))
    np.testing.assert_array_equal(references, own[:, : 1 + layout.ends].astype(np.float32))
    np.testing.assert_array_equal(positive, halves[:, 0].astype(np.float32))
    np.testing.assert_array_equal(negative, halves[:, 1].astype(np.float32))
