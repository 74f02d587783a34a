"""Checkpoints as they are published, into networks."""

import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from flax.serialization import msgpack_serialize
from flax.traverse_util import unflatten_dict

from rival_jax.errors import InputError
from rival_jax.weights import export, plan
from rival_jax.weights.load import read
from rival_jax.weights.rules import leaf_paths


def assert_loads(model, folder, dtype=np.float32, state=None, rtol=0.0):
    """The folder's weights are those of `state`, in `dtype`."""
    loaded = read(plan(model.directory, model.parts[folder], dtype))
    found, wanted = leaf_paths(loaded), leaf_paths(state or model.states[folder])
    assert found.keys() == wanted.keys()
    for path, leaf in found.items():
        assert isinstance(leaf, jax.Array) and leaf.dtype == dtype, path
        np.testing.assert_allclose(np.asarray(leaf, np.float32), wanted[path], rtol=rtol, err_msg=path)
    return loaded


@pytest.mark.parametrize("folder", ["unet", "vae", "text_encoder"])
def test_plain(model, folder):
    assert_loads(model, folder)


@pytest.mark.parametrize("source", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_any_dtype_into_any_other(model, source, dtype):
    model.rewrite("text_encoder", {key: tensor.astype(source) for key, tensor in model.tensors["text_encoder"].items()})
    assert_loads(model, "text_encoder", dtype, rtol=2**-8)


def test_the_network_runs(model):
    prepared = plan(model.directory, model.parts["text_encoder"], jnp.float32)
    network = nnx.merge(prepared.graphdef, read(prepared))
    assert network(jnp.zeros((1, 10), jnp.int32)).shape == (1, 10, 12)


def test_a_plan_counts_without_reading(model):
    prepared = plan(model.directory, model.parts["vae"], jnp.bfloat16)
    parameters = sum(tensor.size for tensor in model.tensors["vae"].values())
    assert (prepared.parameters, prepared.nbytes) == (parameters, 2 * parameters)
    read(prepared)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in prepared.leaves.values())


def test_half_precision_variants(model):
    half = model.random_state("vae", seed=1)
    tensors = {key: tensor.astype(np.float16) for key, tensor in export(model.parts["vae"].table, half).items()}
    model.write("vae", "diffusion_pytorch_model.fp16.safetensors", tensors)
    assert_loads(model, "vae", np.float32)
    assert_loads(model, "vae", jnp.float16, half)
    model.remove("vae")
    assert_loads(model, "vae", np.float32, half)


@pytest.mark.parametrize("name", ["safetensors.index.json", "safetensors.index.fp16.json"])
def test_shards(model, name):
    tensors, shards = model.tensors["unet"], {}
    model.remove("unet")
    for i in range(3):
        file = f"diffusion_pytorch_model-0000{i + 1}-of-00003.safetensors"
        keys = sorted(tensors)[i::3]
        model.write("unet", file, {key: tensors[key] for key in keys})
        shards |= dict.fromkeys(keys, file)
    (model.directory / "unet" / f"{model.stems['unet']}.{name}").write_text(json.dumps({"weight_map": shards}))
    assert_loads(model, "unet")


def test_shards_that_overlap(model):
    model.remove("vae")
    files = {"a": "diffusion_pytorch_model-1-of-2.safetensors", "b": "diffusion_pytorch_model-2-of-2.safetensors"}
    for file in files.values():
        model.write("vae", file, model.tensors["vae"])
    (model.directory / "vae" / f"{model.stems['vae']}.safetensors.index.json").write_text(
        json.dumps({"weight_map": files})
    )
    with pytest.raises(InputError, match="repeats tensors of another shard: decoder.conv_in.bias"):
        plan(model.directory, model.parts["vae"], np.float32)


OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.mark.parametrize("as_convolution", [False, True])
def test_old_autoencoder_attention(model, as_convolution):
    def spell(key, tensor):
        for new, old in OLD_NAMES.items():
            if f".{new}." in key:
                tensor = tensor[..., None, None] if as_convolution and tensor.ndim == 2 else tensor
                return key.replace(f".{new}.", f".{old}."), tensor
        return key, tensor

    old = dict(spell(key, tensor) for key, tensor in model.tensors["vae"].items())
    assert "encoder.mid_block.attentions.0.proj_attn.weight" in old
    model.rewrite("vae", old)
    assert_loads(model, "vae")


@pytest.mark.parametrize("prefix", ["text_model.", ""])
@pytest.mark.parametrize("with_ids", [False, True])
def test_text_encoder_spellings(model, prefix, with_ids):
    tensors = {
        prefix + key.removeprefix("text_model."): tensor for key, tensor in model.tensors["text_encoder"].items()
    }
    if with_ids:
        tensors[f"{prefix}embeddings.position_ids"] = np.arange(10)[None]
    model.rewrite("text_encoder", tensors)
    assert_loads(model, "text_encoder")


def test_an_autoencoder_without_quant_convs(model):
    without = {"use_quant_conv": False, "use_post_quant_conv": False}
    model.write_config("vae", model.configs["vae"] | without)
    with pytest.raises(InputError, match="4 tensors .* no place for: .*quant_conv.bias"):
        plan(model.directory, model.parts["vae"], np.float32)
    model.rewrite("vae", {key: tensor for key, tensor in model.tensors["vae"].items() if "quant_conv" not in key})
    leaves = leaf_paths(read(plan(model.directory, model.parts["vae"], np.float32)))
    assert leaves.keys() == leaf_paths(model.random_state("vae", **without)).keys()


def test_linear_projections(model):
    state = model.random_state("unet", use_linear_projection=True)
    tensors = export(model.parts["unet"].table, state)
    assert tensors["mid_block.attentions.0.proj_in.weight"].ndim == 2
    model.write_config("unet", model.configs["unet"] | {"use_linear_projection": True})
    model.rewrite("unet", tensors)
    assert_loads(model, "unet", state=state)


def flax_name(folder, path):
    """A leaf's path as diffusers' Flax models spelled it."""
    if folder == "text_encoder":
        return ["text_model", *path.split(".")]
    parts: list[str] = []
    for part in path.split("."):
        if part.isdigit():
            parts[-1] += f"_{part}"
        else:
            parts.append(part)
    old = {new.replace(".", "_"): name for new, name in OLD_NAMES.items()} if folder == "vae" else {}
    return [old.get(part, part) for part in parts]


@pytest.mark.parametrize("folder", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("source", [np.float32, ml_dtypes.bfloat16])
def test_flax_checkpoints(model, folder, source):
    leaves = leaf_paths(model.states[folder])
    tree = unflatten_dict({tuple(flax_name(folder, path)): leaf.astype(source) for path, leaf in leaves.items()})
    name = "flax_model.msgpack" if folder == "text_encoder" else "diffusion_flax_model.msgpack"
    (model.directory / folder / name).write_bytes(msgpack_serialize(tree))
    model.remove(folder)
    assert_loads(model, folder, rtol=2**-8)


def test_flax_names_are_those_of_diffusers():
    path = "down_blocks.0.attentions.1.transformer_blocks.0.ff.net.0.proj.kernel"
    joined = "down_blocks_0/attentions_1/transformer_blocks_0/ff/net_0/proj/kernel"
    assert "/".join(flax_name("unet", path)) == joined
    assert flax_name("unet", "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0.bias")[-2:] == [
        "to_out_0",
        "bias",
    ]
    assert flax_name("vae", "decoder.mid_block.attentions.0.to_out.0.bias")[-2:] == ["proj_attn", "bias"]


def test_a_truncated_checkpoint_fails_before_anything_is_read(model):
    file = model.directory / "unet/diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="diffusion_pytorch_model.safetensors is cut short"):
        plan(model.directory, model.parts["unet"], np.float32)
