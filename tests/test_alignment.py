"""Initial latents and statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.alignment import adain, initial_latents

E, N, SIDE, CHANNELS = 2, 3, 8, 4
SEEDS = np.array([3, 2**32 - 1], np.uint32)


@pytest.fixture(scope="module")
def noisy():
    """Latents (e, y, x, c) whose channels are correlated and off centre."""
    draw = np.random.default_rng(0)
    mixed = draw.standard_normal((E, SIDE, SIDE, CHANNELS)) @ draw.standard_normal((CHANNELS, CHANNELS))
    return (mixed + np.arange(CHANNELS)).astype(np.float32)


def start(noisy, initial, n=N, seeds=SEEDS):
    return np.asarray(initial_latents(jnp.asarray(noisy), jnp.asarray(seeds), initial=initial, num_variations=n))


def flat(latents):
    """(..., positions, c)."""
    return np.reshape(latents, (*latents.shape[:-3], -1, latents.shape[-1]))


def test_shuffle_is_one_permutation_for_all_channels(noisy):
    shuffled = flat(start(noisy, "shuffle"))
    positions = flat(noisy)
    for e in range(E):
        orders = []
        for n in range(N):
            order = [int(np.flatnonzero((positions[e] == row).all(axis=1))[0]) for row in shuffled[e, n]]
            assert sorted(order) == list(range(SIDE * SIDE)) and order != sorted(order)
            orders.append(tuple(order))
        assert len(set(orders)) == N


def test_gaussian_has_the_chain_s_mean_and_covariance(noisy):
    drawn = flat(start(noisy, "gaussian", n=400))
    for e in range(E):
        sample, wanted = drawn[e].reshape(-1, CHANNELS), flat(noisy)[e]
        covariance = np.cov(wanted.T)
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        assert np.abs(np.cov(sample.T) - covariance).max() <= 0.04 * scale.max()
        assert np.abs(sample.mean(axis=0) - wanted.mean(axis=0)).max() <= 0.04 * np.sqrt(scale.max())
        assert np.abs(covariance - np.diag(np.diag(covariance))).max() > 0.2 * scale.max()  # there is something to miss


def test_gaussian_of_constant_channels(noisy):
    """A covariance that is singular: nothing is drawn in its null space."""
    singular = np.stack([noisy[..., 0], noisy[..., 1], np.full_like(noisy[..., 2], 0.5), noisy[..., 1]], axis=-1)
    drawn = start(singular, "gaussian")
    np.testing.assert_allclose(drawn[..., 2], 0.5, atol=2e-3)
    np.testing.assert_allclose(drawn[..., 3], drawn[..., 1], atol=5e-3)


def test_inverted_is_the_chain_s_end(noisy):
    np.testing.assert_array_equal(start(noisy, "inverted"), np.repeat(noisy[:, None], N, axis=1))


def test_random_is_standard_normal_and_knows_nothing_of_the_chain(noisy):
    drawn = start(noisy, "random")
    np.testing.assert_array_equal(drawn, start(noisy + 5, "random"))
    assert abs(drawn.mean()) < 0.1 and abs(drawn.std() - 1) < 0.1


def test_the_promised_random_numbers(noisy):
    random, shuffled = flat(start(noisy, "random")), flat(start(noisy, "shuffle"))
    for e, seed in enumerate(SEEDS):
        for n in range(N):
            key = jax.random.fold_in(jax.random.key(int(seed), impl="threefry2x32"), n)
            np.testing.assert_array_equal(random[e, n], jax.random.normal(key, (SIDE * SIDE, CHANNELS)))
            order = np.asarray(jax.random.permutation(key, SIDE * SIDE))
            np.testing.assert_array_equal(shuffled[e, n], flat(noisy)[e][order])


@pytest.mark.parametrize("initial", ["shuffle", "gaussian", "random"])
def test_noise_follows_from_seed_and_index_alone(noisy, initial):
    """Neither the batch, nor the place in it, nor N enters: bit for bit, for "gaussian" to rounding."""
    batch = start(noisy, initial)
    tolerance = {"rtol": 0, "atol": 1e-5 if initial == "gaussian" else 0}
    for e in range(E):
        alone = start(noisy[e : e + 1], initial, n=1, seeds=SEEDS[e : e + 1])
        np.testing.assert_allclose(alone[0], batch[e, :1], **tolerance)
    np.testing.assert_allclose(start(noisy[::-1], initial, seeds=SEEDS[::-1]), batch[::-1], **tolerance)
    assert not np.allclose(start(noisy, initial, seeds=SEEDS + 1), batch)


def aligned(x, reference):
    return np.asarray(jax.jit(adain)(jnp.asarray(x), jnp.asarray(reference)))


def test_adain_gives_the_reference_s_statistics(noisy):
    x = 5 * np.random.default_rng(0).standard_normal((E, N, SIDE, SIDE, CHANNELS), np.float32) + 3
    moved, reference = flat(aligned(x, noisy[:, None])), flat(noisy)[:, None]
    np.testing.assert_allclose(moved.mean(axis=-2), np.repeat(reference.mean(axis=-2), N, axis=1), atol=1e-4)
    deviation = np.repeat(reference.std(axis=-2, ddof=1), N, axis=1)
    np.testing.assert_allclose(moved.std(axis=-2, ddof=1), deviation, rtol=1e-4)
    np.testing.assert_allclose(aligned(noisy, noisy), noisy, rtol=1e-5, atol=1e-5)


def test_adain_by_its_equation():
    """Eq. 8 with its epsilon, which shows at a variance as small as this."""
    draw = np.random.default_rng(1)
    x, reference = 1e-2 * draw.standard_normal((2, 1, 4, 4, 2)), draw.standard_normal((1, 1, 4, 4, 2))
    axes = {"axis": (-3, -2), "keepdims": True}
    deviation, target = (np.sqrt(side.var(ddof=1, **axes) + 1e-5) for side in (x, reference))
    expected = (x - x.mean(**axes)) / deviation * target + reference.mean(**axes)
    got = aligned(x.astype(np.float32), reference.astype(np.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_adain_computes_in_float32():
    x = 100 + jax.random.normal(jax.random.key(0), (1, 16, 16, 2))
    half = x.astype(jnp.bfloat16)
    assert aligned(half, x).dtype == np.float32
    np.testing.assert_array_equal(aligned(half, x), aligned(half.astype(jnp.float32), x))
