"""What lies between prompts and between noises: the spec's acceptance cases 13, 24 and 25."""

import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.interpolation.mixing import lerp, noise_between, slerp, warmup_steps


def vectors(*rows):
    return jnp.asarray(rows, jnp.float32)


@pytest.mark.parametrize(
    ("start", "end", "t", "expected"),
    [
        ((1, 0), (0, 1), 0.5, (0.70710678, 0.70710678)),
        ((1, 0), (1, 0.01), 0.25, (1, 0.0025)),  # almost one direction: on the line
        ((0, 0), (0, 2), 0.5, (0, 1)),
        ((1, 0), (-1, 0), 0.5, (0, 0)),
        ((2, 0), (0, 4), 0.0, (2, 0)),
        ((2, 0), (0, 4), 1.0, (0, 4)),
    ],
)
def test_24_slerp(start, end, t, expected):
    found = slerp(vectors(start), vectors(end), jnp.asarray([t]))
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-6)
    back = slerp(vectors(end), vectors(start), jnp.asarray([1 - t]))
    np.testing.assert_allclose(back, found, rtol=0, atol=1e-6)


def test_24_slerp_of_the_same():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((5, 7)), jnp.float32)
    np.testing.assert_array_equal(slerp(x, x, jnp.full(5, 0.3)), x)


def test_25_rows_along_width():
    """Latents have channels last, the authors' first; a vector is a row of one channel in both."""
    rng = np.random.default_rng(1)
    start, end = (jnp.asarray(rng.standard_normal((2, 6, 8, 4)), jnp.float32) for _ in range(2))
    t = jnp.asarray([[0.2, 0.7], [0.4, 0.5]])
    found = noise_between(start, end, t, "width")
    for e in range(2):
        for n in range(2):
            one, other = (jnp.moveaxis(x[e], -1, 0) for x in (start, end))  # (c, y, x)
            theirs = slerp(one, other, jnp.full(4, t[e, n]))
            np.testing.assert_allclose(found[e, n], jnp.moveaxis(theirs, 0, -1), rtol=0, atol=1e-7)


def test_flat():
    """All of a latent is one vector, whose length is kept where both have it."""
    rng = np.random.default_rng(2)
    start, end = (jnp.asarray(rng.standard_normal((1, 8, 8, 4)), jnp.float32) for _ in range(2))
    start, end = (x / jnp.linalg.norm(x) for x in (start, end))
    found = noise_between(start, end, jnp.asarray([[0.1, 0.5, 0.8]]), "flat")
    np.testing.assert_allclose(jnp.linalg.norm(found.reshape(3, -1), axis=1), 1, atol=1e-5)


def test_lerp():
    """Exact at both ends and where they are the same; in the arrays' own dtype."""
    rng = np.random.default_rng(3)
    a, b = (jnp.asarray(rng.standard_normal((3, 4)), jnp.bfloat16) for _ in range(2))
    found = lerp(a, b, jnp.asarray([0.0, 1.0, 0.5]))
    np.testing.assert_array_equal(found[:2], jnp.stack([a[0], b[1]]))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(lerp(a, a, jnp.asarray([0.1, 0.6, 0.9])), a)


def test_13_warmup():
    assert warmup_steps(50, 0.122) == 6 and warmup_steps(50, 0.122, legacy=True) == 5
    assert warmup_steps(50, 0.0) == warmup_steps(50, 0.0, legacy=True) == 0 and warmup_steps(50, 1.0) == 50
