"""Fig. 12's measures: nothing between a chain and itself, and all of it in a generation."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rival_jax.evidence.divergence import Share, divergence, gaussian_kl
from rival_jax.models.attention import Attention


def test_gaussian_kl():
    """Closed form: half of (ratio - 1 - log ratio) a channel for variances, half the squared shift for means."""
    latents = np.random.default_rng(0).normal(size=(2, 16, 16, 4))
    np.testing.assert_allclose(gaussian_kl(latents, latents), 0, atol=1e-9)
    standard = (latents - latents.mean(axis=(1, 2), keepdims=True)) / latents.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(gaussian_kl(standard + 0.5, standard), 4 * 0.125, rtol=1e-5)
    np.testing.assert_allclose(gaussian_kl(2 * standard, standard), 4 * 0.5 * (4 - 1 - np.log(4)), rtol=1e-5)


def test_a_generation(pipe, chain):
    """From the inverted latents it starts on the chain, where the reference gets half of the attention."""
    kls, shares = divergence(pipe, chain, chain.source_prompt, initial="inverted", guidance_scale=1.0)
    assert kls.shape == (5,) and shares.shape == (4,)
    assert kls[0] == pytest.approx(0, abs=1e-6) and shares[0] == pytest.approx(0.5, abs=1e-4)
    apart, _ = divergence(pipe, chain, chain.source_prompt, initial="random", align="none", attention_start=0)
    assert apart[0] > 0.01


@pytest.mark.parametrize(("factor", "share"), [(2.0, 1.0), (1.0, 0.5), (-1.0, 0.0)])
def test_the_share_is_the_reference_s(factor, share):
    """All where its keys answer a generated row's queries better than the row's own, none where they answer worse."""
    attention = Attention(8, 2, dtype=jnp.float32, rngs=nnx.Rngs(0))
    for projection in (attention.to_q, attention.to_k):
        projection.kernel[...] = 5 * jnp.eye(8)
    generated = jnp.ones((1, 3, 8))
    shares: list = []
    Share(shares)(attention, jnp.concatenate([factor * generated, generated]), None)
    assert shares == [pytest.approx(share, abs=1e-4)]
