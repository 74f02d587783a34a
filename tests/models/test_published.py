"""The configs of the published models: what is read from them, and the published parameter counts, without weights."""

import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from rival_jax.models.clip import TextEncoder
from rival_jax.models.config import TextConfig, UNetConfig, VAEConfig
from rival_jax.models.unet import UNet
from rival_jax.models.vae import VAE
from rival_jax.weights.load import _OneKey

SD1 = {
    "_class_name": "UNet2DConditionModel",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
SD2 = SD1 | {
    "_diffusers_version": "0.10.0.dev0",
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "dual_cross_attention": False,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "sample_size": 96,
    "upcast_attention": True,
    "use_linear_projection": True,
}
SDXL = SD1 | {
    "_diffusers_version": "0.19.0.dev0",
    "addition_embed_type": "text_time",
    "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_dim": 2048,
    "cross_attention_norm": None,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "num_attention_heads": None,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": 2816,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "sample_size": 128,
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "upcast_attention": None,
    "use_linear_projection": True,
}
AUTOENCODER = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
CLIP = {
    "architectures": ["CLIPTextModel"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "dropout": 0.0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "torch_dtype": "float32",
    "transformers_version": "4.22.0.dev0",
    "vocab_size": 49408,
}
OPEN_CLIP = CLIP | {
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "projection_dim": 512,
}


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
