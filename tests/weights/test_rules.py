"""The conversion engine and the tables."""

import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict

from rival_jax import errors
from rival_jax.weights import sd_keys
from rival_jax.weights.rules import Layout, assign, leaf_paths

LEAVES = {"conv_in.kernel": (3, 3, 4, 8), "conv_in.bias": (8,), "mid.norm.scale": (8,), "mid.norm.bias": (8,)}
STORED = {"conv_in.weight": (8, 4, 3, 3), "conv_in.bias": (8,), "mid.norm.weight": (8,), "mid.norm.bias": (8,)}


def test_every_leaf_finds_its_key():
    assigned = assign(sd_keys.UNET, STORED, LEAVES, "unet")
    assert {path: key for path, (key, _) in assigned.items()} == {
        "conv_in.kernel": "conv_in.weight",
        "conv_in.bias": "conv_in.bias",
        "mid.norm.scale": "mid.norm.weight",
        "mid.norm.bias": "mid.norm.bias",
    }


def test_one_error_lists_everything():
    stored = STORED | {"lora.up": (2, 2), "conv_out.bias": (3,), "conv_in.weight": (8, 9, 3, 3)}
    del stored["mid.norm.weight"], stored["conv_in.bias"]
    with pytest.raises(errors.InputError) as caught:
        assign(sd_keys.UNET, stored, LEAVES, "somewhere/unet")
    assert str(caught.value) == (
        "The weights of somewhere/unet do not fit the network its config.json describes: "
        "2 tensors that the network has no place for: lora.up, conv_out.bias; "
        "2 parameters that no tensor fills: conv_in.bias, mid.norm.scale; "
        "1 tensors of another shape: conv_in.weight (gives [3, 3, 9, 8], needed [3, 3, 4, 8])."
    )


def test_two_spellings_of_one_leaf_are_an_error():
    stored = {"mid.attentions.0.query.bias": (4,), "mid.attentions.0.to_q.bias": (4,)}
    with pytest.raises(errors.InputError, match="1 parameters that two tensors fill: mid.attentions.0.to_q.bias"):
        assign(sd_keys.VAE, stored, {"mid.attentions.0.to_q.bias": (4,)}, "vae")


def test_a_dense_layer_stored_as_a_convolution_must_be_of_one_pixel():
    leaves = {"attentions.0.to_q.kernel": (4, 5)}
    assert assign(sd_keys.VAE, {"attentions.0.query.weight": (5, 4, 1, 1)}, leaves, "vae")
    with pytest.raises(errors.InputError, match="no place"):
        assign(sd_keys.VAE, {"attentions.0.query.weight": (5, 4, 3, 3)}, leaves, "vae")


@pytest.mark.parametrize(
    "layout, shape",
    [(sd_keys.CONV, (5, 4, 3, 2)), (sd_keys.LINEAR, (5, 4)), (sd_keys.VECTOR, (5,)), (Layout(), (2, 3, 4))],
)
def test_a_layout_and_its_inverse(layout, shape):
    stored = np.arange(np.prod(shape)).reshape(shape)
    assert layout.leaf(stored).shape == layout.shape(shape)
    np.testing.assert_array_equal(layout.stored(layout.leaf(stored)), stored)


def test_layouts_mean_what_torch_means():
    stored = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    assert sd_keys.CONV.leaf(stored)[4, 6, 2, 1] == stored[1, 2, 4, 6]
    assert sd_keys.LINEAR.leaf(stored[:, :, 0, 0])[2, 1] == stored[1, 2, 0, 0]
    np.testing.assert_array_equal(sd_keys.POINTWISE.leaf(stored[:, :, :1, :1]), stored[:, :, 0, 0].T)


@pytest.mark.parametrize(
    "folder, key, shape",
    [
        ("unet", "down_blocks.0.resnets.0.conv1.weight", (8, 8, 3, 3)),
        ("unet", "down_blocks.0.resnets.0.time_emb_proj.weight", (8, 32)),
        ("unet", "down_blocks.0.downsamplers.0.conv.bias", (8,)),
        ("unet", "down_blocks.0.attentions.0.proj_in.weight", (8, 8, 1, 1)),
        ("unet", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", (16, 12)),
        ("unet", "up_blocks.1.attentions.1.transformer_blocks.0.attn1.to_out.0.weight", (8, 8)),
        ("unet", "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.0.proj.weight", (64, 8)),
        ("unet", "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.2.bias", (8,)),
        ("unet", "time_embedding.linear_1.weight", (32, 8)),
        ("unet", "conv_norm_out.weight", (8,)),
        ("vae", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight", (16, 8, 1, 1)),
        ("vae", "decoder.mid_block.attentions.0.to_q.weight", (16, 16)),
        ("vae", "decoder.mid_block.attentions.0.group_norm.weight", (16,)),
        ("vae", "decoder.up_blocks.0.upsamplers.0.conv.weight", (16, 16, 3, 3)),
        ("vae", "quant_conv.weight", (8, 8, 1, 1)),
        ("text_encoder", "text_model.embeddings.token_embedding.weight", (600, 12)),
        ("text_encoder", "text_model.encoder.layers.1.self_attn.q_proj.weight", (12, 12)),
        ("text_encoder", "text_model.encoder.layers.1.mlp.fc1.weight", (20, 12)),
        ("text_encoder", "text_model.encoder.layers.0.layer_norm1.weight", (12,)),
        ("text_encoder", "text_model.final_layer_norm.bias", (12,)),
    ],
)
def test_export_speaks_torch(model, folder, key, shape):
    assert model.tensors[folder][key].shape == shape


@pytest.mark.parametrize("folder", ["unet", "vae", "text_encoder"])
def test_export_keeps_every_number(model, folder):
    stored, leaves = model.tensors[folder], leaf_paths(model.states[folder])
    assert len(stored) == len(leaves)
    assert sum(tensor.size for tensor in stored.values()) == sum(leaf.size for leaf in leaves.values())


def test_paths_are_dotted(model):
    state = model.random_state("text_encoder")
    assert "encoder.layers.1.mlp.fc2.kernel" in leaf_paths(state)
    assert len(leaf_paths(state)) == len(flatten_dict(nnx.to_pure_dict(state)))
