"""Pictures of no world: reproducible, and with the statistics they are drawn for."""

import numpy as np
import pytest

from rival_jax.training.textures import dead_leaves, make_textures, noise


def test_reproducible():
    first = make_textures(6, seed=1, side=16)
    assert first.shape == (6, 16, 16, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first[:4], make_textures(4, seed=1, side=16))
    assert (first != make_textures(6, seed=2, side=16)).any()


@pytest.mark.parametrize("kind", [noise, dead_leaves])
def test_amplitude_falls_with_frequency(kind):
    """As in photographs: the power of low frequencies outweighs that of high ones by far."""
    pictures = np.stack([kind(48, np.random.default_rng(seed)) for seed in range(40)]).astype(float).mean(axis=-1)
    power = (np.abs(np.fft.fft2(pictures - pictures.mean(axis=(1, 2), keepdims=True))) ** 2).mean(axis=0)
    radius = np.hypot(np.fft.fftfreq(48)[:, None], np.fft.fftfreq(48)[None])
    low, middle, high = (power[(radius > a) & (radius <= b)].mean() for a, b in ((0, 0.1), (0.1, 0.25), (0.25, 0.5)))
    assert low > 3 * middle > 9 * high
