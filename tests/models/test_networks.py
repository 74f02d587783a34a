"""Layers and networks against their formulas; the parity tests hold whole networks against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint import Model
from flax import nnx

from rival_jax.models.attention import plain
from rival_jax.models.clip import SelfAttention
from rival_jax.models.clip_config import TextConfig
from rival_jax.models.config import UNetConfig
from rival_jax.models.down_path import sinusoid
from rival_jax.models.layers import Downsample, GroupNorm, LayerNorm, Upsample
from rival_jax.models.unet import UNet


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_the_timestep_s_sinusoid():
    """DDPM's, cosines first as Stable Diffusion's configs ask for."""
    angles = 501 * 10000.0 ** (-np.arange(4) / 4)
    found = sinusoid(jnp.asarray([501]), 8)
    np.testing.assert_allclose(found[0], np.concatenate([np.cos(angles), np.sin(angles)]), atol=1e-4)
    flipped = sinusoid(jnp.asarray([[501]]), 8, flip_sin_to_cos=False, freq_shift=1)
    angles = 501 * 10000.0 ** (-np.arange(4) / 3)
    np.testing.assert_allclose(flipped[0, 0], np.concatenate([np.sin(angles), np.cos(angles)]), atol=1e-4)


@pytest.mark.parametrize(("norm", "axes"), [("group", (1, 2, 4)), ("layer", (3,))])
def test_norms_keep_float32_statistics(norm, axes):
    """A large mean would swamp 16-bit statistics; input and output stay in their own dtype."""
    x = jnp.asarray(40 + draw(2, 3, 3, 8), jnp.bfloat16)
    options = {"dtype": jnp.bfloat16, "rngs": nnx.Rngs(0)}
    layer = GroupNorm(8, 2, 1e-6, **options) if norm == "group" else LayerNorm(8, **options)
    exact = np.asarray(x, np.float64)
    grouped = exact.reshape(2, 3, 3, 2, 4) if norm == "group" else exact
    centred = grouped - grouped.mean(axes, keepdims=True)
    expected = (centred / np.sqrt(grouped.var(axes, keepdims=True) + 1e-5)).reshape(x.shape)
    found = layer(x)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=1e-2, atol=1e-2)


def test_sampling_up_and_down():
    """Pixels are doubled before the convolution; the UNet pads both sides before striding, the VAE only the far one."""
    x, options = jnp.asarray(draw(1, 4, 4, 2)), {"dtype": jnp.float32, "rngs": nnx.Rngs(0)}
    assert Upsample(2, **options)(x).shape == (1, 8, 8, 2)
    for padding, first in (((1, 1), 0), ((0, 1), 1)):
        layer = Downsample(2, padding=padding, **options)
        layer.conv.kernel[...] = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(jnp.eye(2))  # passes on its window's centre
        np.testing.assert_allclose(layer(x), x[:, first::2, first::2])


def test_causal_attention_sees_no_later_token():
    config = TextConfig.from_dict(Model.configs["text_encoder"])
    layer, x = SelfAttention(config, dtype=jnp.float32, rngs=nnx.Rngs(0)), jnp.asarray(draw(1, 5, 12))
    before, after = layer(x), layer(x.at[:, 3:].set(9.0))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.allclose(before[:, 3:], after[:, 3:])


def unet(dtype=jnp.float32, **changes):
    return UNet(UNetConfig.from_dict(Model.configs["unet"] | changes), dtype=dtype, rngs=nnx.Rngs(0))


def shapes(rows=2, height=8, width=12):
    """Latents, timesteps and prompts of a call."""
    spec = jax.ShapeDtypeStruct
    return spec((rows, height, width, 4), jnp.float32), spec((rows,), jnp.int32), spec((rows, 5, 12), jnp.float32)


def test_every_attention_layer_asks_the_seam():
    """In order of the data, self-attention before cross-attention; the layers themselves know nobody else."""
    asked = []

    def attend(attention, x_bsd, text_bmd):
        asked.append((x_bsd.shape, text_bmd is not None))
        return plain(attention, x_bsd, text_bmd)

    out = nnx.eval_shape(lambda *inputs: unet()(*inputs, attend=attend), *shapes())
    assert out.shape == (2, 8, 12, 4)
    fine, coarse = (2, 96, 8), (2, 24, 16)  # 8 x 12 and 4 x 6 tokens
    assert asked == [(shape, cross) for shape in (fine, coarse, fine, fine) for cross in (False, True)]


def test_depths_per_block():
    asked = []

    def attend(attention, x_bsd, text_bmd):
        asked.append(x_bsd.shape[-1])
        return plain(attention, x_bsd, text_bmd)

    nnx.eval_shape(lambda *inputs: unet(transformer_layers_per_block=[1, 3])(*inputs, attend=attend), *shapes())
    assert asked == [8] * 2 + [16] * 6 + [8] * 4


def test_half_precision_inside_float32_outside():
    network = nnx.eval_shape(lambda: unet(jnp.bfloat16))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(network))} == {jnp.dtype(jnp.bfloat16)}
    assert nnx.eval_shape(lambda *inputs: unet(jnp.bfloat16)(*inputs), *shapes()).dtype == jnp.float32


def test_added_embeddings():
    """SDXL's pooled text and six sizes join the timestep."""
    sdxl = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4}
    added = jax.ShapeDtypeStruct((2, 12 + 6 * 4), jnp.float32)

    def run(*inputs):
        return unet(**sdxl, projection_class_embeddings_input_dim=12 + 6 * 4)(*inputs[:3], added_ba=inputs[3])

    assert nnx.eval_shape(run, *shapes(), added).shape == (2, 8, 12, 4)
