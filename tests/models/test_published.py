"""The configs of the published models: what is read from them, and the published parameter counts, without weights."""

import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from published import AUTOENCODER, CLIP, OPEN_CLIP, SD1, SD2, SDXL

from rival_jax.attend import Keep
from rival_jax.models.clip import TextEncoder
from rival_jax.models.clip_config import TextConfig
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.models.network import Network
from rival_jax.models.unet import UNet
from rival_jax.models.vae import VAE
from rival_jax.sampling import one_step
from rival_jax.stages import Stage
from rival_jax.weights.load import _OneKey


def test_stable_diffusion_1():
    config = UNetConfig.from_dict(SD1)
    assert config.attention_heads == (8, 8, 8, 8)
    assert (config.transformer_depths, config.mid_depth, config.up_depths) == ((1, 1, 1, 0), 1, (1, 1, 1, 0))
    assert config.layers_per_block == (2, 2, 2, 2) and not config.use_linear_projection
    assert (config.sample_size, config.factor, VAEConfig.from_dict(AUTOENCODER).factor) == (64, 8, 8)


def test_stable_diffusion_2():
    config = UNetConfig.from_dict(SD2)
    assert config.attention_heads == (5, 10, 20, 20)
    assert config.use_linear_projection and config.cross_attention_dim == 1024


def test_stable_diffusion_xl():
    config = UNetConfig.from_dict(SDXL)
    assert config.attention_heads == (5, 10, 20)
    assert (config.transformer_depths, config.mid_depth, config.up_depths) == ((0, 2, 10), 10, (0, 2, 10))
    assert (config.addition_time_embed_dim, config.projection_class_embeddings_input_dim) == (256, 2816)


@pytest.mark.parametrize(
    ("network", "config", "parameters"),
    [
        (UNet, UNetConfig.from_dict(SD1), 859_520_964),
        (UNet, UNetConfig.from_dict(SD2), 865_910_724),
        (UNet, UNetConfig.from_dict(SDXL), 2_567_463_684),
        (VAE, VAEConfig.from_dict(AUTOENCODER), 83_653_863),
        (TextEncoder, TextConfig.from_dict(CLIP), 123_060_480),
        (TextEncoder, TextConfig.from_dict(OPEN_CLIP), 340_387_840),
    ],
    ids=["SD 1.5", "SD 2.1", "SDXL", "VAE", "CLIP L", "OpenCLIP H"],
)
def test_published_parameter_counts(network, config, parameters):
    state = nnx.state(nnx.eval_shape(lambda: network(config, dtype=jnp.bfloat16, rngs=_OneKey())))
    leaves = jax.tree.leaves(state)
    assert sum(math.prod(leaf.shape) for leaf in leaves) == parameters
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.slow
def test_a_step_of_sdxl_at_full_size():
    """By shapes alone: a reference and two variations of 832 x 1216 pixels, 70 layers of self-attention."""
    config = UNetConfig.from_dict(SDXL)
    graphdef, state = nnx.split(nnx.eval_shape(lambda: UNet(config, dtype=jnp.bfloat16, rngs=_OneKey())))
    latents, text = (104, 152, 4), (77, 2048)
    for attention in ("plain", "replace", "concat"):
        stage = Stage(attention, "latent", int(attention != "plain"), "chunked")
        program, *arguments = one_step(Network(graphdef, state, config), latents, text, stage, 2)
        assert jax.eval_shape(program, *arguments).x.shape == (1, 2, *latents)
    states = []
    x, told = jax.ShapeDtypeStruct((1, *latents), jnp.float32), jax.ShapeDtypeStruct((1, *text), jnp.float32)
    added, time = jax.ShapeDtypeStruct((1, 2816), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.int32)

    def kept(state, x, time, told, added):
        nnx.merge(graphdef, state)(x, time, told, attend=Keep(states, "chunked"), added_ba=added)
        return [len(own[0]) for own in states]

    assert len(jax.eval_shape(kept, state, x, time, told, added)) == 70
    assert {own.shape[1] for own in states} == {52 * 76, 26 * 38}
