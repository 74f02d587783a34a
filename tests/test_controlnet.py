"""A ControlNet is loaded as it is published, or refused with one sentence."""

import json

import huggingface_hub
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint import CONTROL, Model, write_controlnet
from flax.serialization import msgpack_serialize
from flax.traverse_util import unflatten_dict
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.hf_api import ModelInfo

from rival_jax import ControlNet, InputError
from rival_jax.models.config import UNetConfig
from rival_jax.weights import CONTROLNET, export
from rival_jax.weights.rules import leaf_paths

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def directory(tmp_path):
    write_controlnet(tmp_path / "edges")
    return tmp_path / "edges"


def assert_holds(controlnet, tensors, dtype=jnp.float32):
    found = export(CONTROLNET.table, controlnet.network.state)
    assert found.keys() == tensors.keys()
    for key, tensor in found.items():
        assert tensor.dtype == dtype
        np.testing.assert_array_equal(tensor.astype(np.float32), tensors[key].astype(dtype).astype(np.float32))


def test_a_directory(directory, monkeypatch):
    tensors = write_controlnet(directory, seed=1)
    assert {"controlnet_down_blocks.3.weight", "controlnet_mid_block.bias"} < tensors.keys()
    assert tensors["controlnet_cond_embedding.blocks.1.weight"].shape == (6, 4, 3, 3)
    assert tensors["controlnet_down_blocks.3.weight"].shape == (16, 16, 1, 1)
    controlnet = ControlNet.from_pretrained(directory, "float32")
    assert_holds(controlnet, tensors)
    assert controlnet.directory == directory.resolve() and controlnet.config.image_factor == 2
    assert_holds(ControlNet.from_pretrained(directory, "bfloat16"), tensors, jnp.bfloat16)
    monkeypatch.chdir(directory)
    assert ControlNet.from_pretrained(".", "float32").directory == directory.resolve()


def test_half_precision_variants(directory):
    (directory / WEIGHTS).rename(directory / WEIGHTS.replace(".s", ".fp16.s"))
    plain = write_controlnet(directory, seed=1)
    assert_holds(ControlNet.from_pretrained(directory, "float32"), plain)
    (directory / WEIGHTS).unlink()
    assert_holds(ControlNet.from_pretrained(directory, "float32"), write_controlnet(directory / "again"))


def test_flax_checkpoints(directory):
    leaves = leaf_paths(ControlNet.from_pretrained(directory, "float32").network.state)
    tree = {}
    for path, leaf in leaves.items():
        names = []
        for part in path.split("."):
            names = [*names[:-1], f"{names[-1]}_{part}"] if part.isdigit() else [*names, part]
        tree[tuple(names)] = np.asarray(leaf)
    assert ("controlnet_cond_embedding", "blocks_0", "kernel") in tree and ("controlnet_down_blocks_2", "bias") in tree
    (directory / "diffusion_flax_model.msgpack").write_bytes(msgpack_serialize(unflatten_dict(tree)))
    (directory / WEIGHTS).unlink()
    assert_holds(ControlNet.from_pretrained(directory, "float32"), write_controlnet(directory / "again"))


def test_a_hub_id(directory, monkeypatch):
    asked = []

    def snapshot_download(repo, allow_patterns, **_):
        asked.extend(allow_patterns)
        return str(directory)

    (directory / WEIGHTS.replace(".s", ".fp16.s")).write_bytes((directory / WEIGHTS).read_bytes())
    files = [{"rfilename": file.name} for file in directory.iterdir()] + [{"rfilename": "images/in.png"}]
    info = ModelInfo(id="owner/edges", siblings=files)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert ControlNet.from_pretrained("owner/edges", "float32").directory == directory.resolve()
    assert asked == ["config.json", WEIGHTS]
    asked.clear()
    ControlNet.from_pretrained("owner/edges", "float16")
    assert asked == ["config.json", "diffusion_pytorch_model.fp16.safetensors"]


def test_the_hub_out_of_reach(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError

    def not_cached(*_, **__):
        raise LocalEntryNotFoundError("not cached")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", not_cached)
    with pytest.raises(InputError, match=r"The ControlNet owner/edges was not found: .* \(ConnectionError\)"):
        ControlNet.from_pretrained("owner/edges", "float32")


def _cut(directory):
    file = directory / WEIGHTS
    file.write_bytes(file.read_bytes()[:-10])


def _pickled(directory):
    (directory / WEIGHTS).rename(directory / "diffusion_pytorch_model.bin")


def _unet(directory):
    """A model's UNet in place of a ControlNet."""
    (directory / "config.json").write_text(json.dumps(Model.configs["unet"]))


def _pooling(directory):
    (directory / "config.json").write_text(json.dumps(CONTROL | {"global_pool_conditions": True}))


@pytest.mark.parametrize(
    "damage, message",
    [
        (_cut, "diffusion_pytorch_model.safetensors is cut short"),
        (_pickled, "diffusion_pytorch_model.bin is corrupt or not a bin file"),
        (_unet, "The ControlNet config's sample_size = 8 is not supported"),
        (lambda directory: (directory / "config.json").unlink(), "config.json is missing"),
        (lambda directory: (directory / "config.json").write_text("{"), "config.json is corrupt"),
        (_pooling, "global_pool_conditions = True is not supported"),
    ],
)
def test_a_damaged_one(directory, damage, message, monkeypatch):
    damage(directory)
    monkeypatch.setattr(jax, "device_put", lambda *_, **__: pytest.fail("weights were read"))
    with pytest.raises(InputError, match=message):
        ControlNet.from_pretrained(directory, "float32")


def test_what_is_neither_a_directory_nor_a_hub_id(directory):
    with pytest.raises(InputError, match="edges/no is not a directory; accepted: a directory with its config.json"):
        ControlNet.from_pretrained(directory / "no", "float32")
    with pytest.raises(InputError, match="dtype is 'float64'; accepted"):
        ControlNet.from_pretrained(directory, "float64")  # pyright: ignore[reportArgumentType]


SDXL = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 36}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cross_attention_dim": 20}, "its cross_attention_dim is 20, the model's 12."),
        ({"block_out_channels": [8, 24]}, r"its block_out_channels is \(8, 24\), the model's \(8, 16\)."),
        ({"layers_per_block": 2}, r"its layers_per_block is \(2, 2\), the model's \(1, 1\)."),
        ({"in_channels": 9}, "its in_channels is 9, the model's 4."),
        (SDXL, "its addition_time_embed_dim is 4, the model's None; its projection_class_embeddings_input_dim is 36,"),
    ],
)
def test_one_of_another_model(directory, changes, said):
    write_controlnet(directory, **changes)
    with pytest.raises(InputError, match=f"edges was made for another model: {said}"):
        ControlNet.from_pretrained(directory, "float32").check_fits(UNetConfig.from_dict(Model.configs["unet"]))


@pytest.mark.parametrize("changes", [{}, {"attention_head_dim": 4}, {"down_block_types": ["DownBlock2D"] * 2}])
def test_one_of_the_model(directory, changes):
    """It may attend less than the UNet does, or with other heads."""
    write_controlnet(directory, **changes)
    ControlNet.from_pretrained(directory, "float32").check_fits(UNetConfig.from_dict(Model.configs["unet"]))
