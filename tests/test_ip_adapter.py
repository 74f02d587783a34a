"""An IP-Adapter is loaded as it is published, or refused with one sentence."""

import json
import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint import Model
from ip_adapters import ENCODER, LAYERS, random_adapter, write_adapter
from safetensors.numpy import load_file, save_file

from rival_jax import InputError
from rival_jax.ip_adapter import IPAdapter
from rival_jax.models.config import UNetConfig
from rival_jax.models.ip_adapter_config import Layer, cross_attention
from rival_jax.weights import export
from rival_jax.weights.sd_keys import IP_ADAPTER

UNET = UNetConfig.from_dict(Model.configs["unet"])
VARIANTS = {"global": 4, "plus": 5}
"""Tokens of each."""


def load(file, dtype="float32", **options):
    return IPAdapter.from_pretrained(file, UNET, dtype=dtype, **options)


def assert_holds(adapter, tensors, dtype=jnp.float32):
    found = export(IP_ADAPTER, adapter.network.state)
    assert found.keys() == tensors.keys()
    for key, value in found.items():
        assert value.dtype == dtype
        np.testing.assert_array_equal(value.astype(np.float32), tensors[key].astype(dtype).astype(np.float32))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_file(tmp_path, monkeypatch, variant):
    file = write_adapter(tmp_path, variant)
    adapter = load(file)
    assert_holds(adapter, load_file(file))
    assert (adapter.file, adapter.config.projection.tokens) == (file, VARIANTS[variant])
    assert_holds(load(file, "bfloat16"), load_file(file), jnp.bfloat16)
    shutil.move(tmp_path / "image_encoder", tmp_path / "elsewhere" / "encoder")
    monkeypatch.chdir(tmp_path)
    assert_holds(load(file.name, image_encoder="elsewhere/encoder"), load_file(file))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_read_of_pictures(tmp_path, photos, pipe, variant, dtype):
    """As `UNet.read` gives it of prompts, in shape and order; what nobody showed is one and the same for all."""
    adapter = load(write_adapter(tmp_path, variant), dtype)
    tokens, nothing = adapter.embed(photos), adapter.negative(2)
    assert tokens.shape == nothing.shape == (2, VARIANTS[variant], 12)
    assert tokens.dtype == nothing.dtype == jnp.dtype(dtype)
    assert np.isfinite(tokens.astype(jnp.float32)).all()
    np.testing.assert_array_equal(nothing[0], nothing[1])
    assert np.abs(np.diff([*tokens.astype(jnp.float32), nothing[0].astype(jnp.float32)], axis=0)).max((1, 2)).min() > 0
    seen = adapter.see(photos)
    assert seen.shape == ((2, 6) if variant == "global" else (2, 5, 12)) and seen.dtype == jnp.float32
    assert adapter.see_nothing().shape == (1, *seen.shape[1:])
    ours = jax.eval_shape(lambda: adapter.network.module().read(tokens))
    texts = jax.eval_shape(lambda: pipe.unet.module().read(jnp.zeros(tokens.shape)))
    assert [[part.shape for part in pair] for pair in ours] == [[part.shape for part in pair] for pair in texts]


def test_layers_in_the_order_of_use():
    """Files number those of the middle last: SD 1.5 has 16 in all, SDXL 70."""
    assert cross_attention(UNET) == (Layer(1, 8, 2), Layer(7, 16, 2), Layer(3, 8, 2), Layer(5, 8, 2))
    assert {layer.number: layer.width for layer in cross_attention(UNET)} == LAYERS
    cross = ["CrossAttnDownBlock2D"] * 3, ["CrossAttnUpBlock2D"] * 3
    sd = {"block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2, "attention_head_dim": 8,
          "down_block_types": [*cross[0], "DownBlock2D"], "up_block_types": ["UpBlock2D", *cross[1]],
          "norm_num_groups": 32, "cross_attention_dim": 768}  # fmt: skip
    layers = cross_attention(UNetConfig.from_dict(Model.configs["unet"] | sd))
    assert [layer.number for layer in layers] == [*range(1, 12, 2), 31, *range(13, 30, 2)]
    assert [layer.width for layer in layers] == [
        width for width, count in ((320, 2), (640, 2), (1280, 6), (640, 3), (320, 3)) for _ in range(count)
    ]
    xl = {"block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20],
          "down_block_types": ["DownBlock2D", *cross[0][:2]], "up_block_types": [*cross[1][:2], "UpBlock2D"],
          "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True}  # fmt: skip
    layers = cross_attention(UNetConfig.from_dict(Model.configs["unet"] | sd | xl))
    assert [layer.number for layer in layers] == [*range(1, 48, 2), *range(121, 140, 2), *range(49, 120, 2)]
    assert layers[0] == Layer(1, 640, 10) and layers[24] == Layer(121, 1280, 20)


ROWS = np.zeros((4 * 12, 7), np.float32)
LAST = "ip_adapter.7.to_v_ip.weight"
TO_Q = np.zeros((100, 40), np.float32)


@pytest.mark.parametrize(
    ("variant", "changes", "said"),
    [
        ("global", {LAST: None}, "do not fit an IP-Adapter of this model: 1 parameters .* ip_adapter.7.to_v_ip.kernel"),
        ("global", {LAST: np.zeros((8, 12), np.float32)}, f"1 tensors of another shape: {LAST} .gives .12, 8., needed"),
        ("global", {"ip_adapter.1.to_k_lora.up.weight": TO_Q}, "no place for: ip_adapter.1.to_k_lora.up.weight"),
        ("global", {"image_proj.norm.bias": None}, "no tensor fills: image_proj.norm.bias"),
        ("global", {"image_proj.norm.weight": None}, "has no image_proj.norm.weight of 1 axes"),
        ("global", {"image_proj.proj.weight": TO_Q[0]}, "has no image_proj.proj.weight of 2 axes"),
        ("global", {"image_proj.proj.weight": ROWS[:0]}, "has no image_proj.proj.weight of 2 axes"),
        ("global", {"image_proj.proj.weight": ROWS[:36]}, "another shape: image_proj.proj.bias .gives .48., needed"),
        ("global", {"image_proj.proj.weight": ROWS[:9]}, "makes 9 numbers, not whole tokens of width 12"),
        ("global", {"image_proj.proj.weight": ROWS}, "of width 7, but the image encoder .* gives 6: it was"),
        ("plus", {"image_proj.layers.0.0.to_q.weight": TO_Q}, "attends in a width of 100, .* no multiple of 64"),
        ("plus", {"image_proj.layers.1.0.to_q.weight": TO_Q}, "another shape: image_proj.layers.1.0.to_q.weight"),
        ("plus", {"image_proj.layers.2.1.0.bias": TO_Q[0]}, "parameters that no tensor fills: image_proj.layers.2.0"),
        ("plus", {"image_proj.latents": np.zeros((2, 5, 40), np.float32)}, "another shape: image_proj.latents"),
        ("plus", {"image_proj.proj_in.weight": np.zeros((40, 6), np.float32)}, "of width 6, but .* gives 12: it was"),
        ("plus", {"image_proj.latents": None}, "is of a kind that is not supported, as those for faces are; accepted"),
    ],
)  # fmt: skip
def test_a_damaged_one(tmp_path, monkeypatch, variant, changes, said):
    file = write_adapter(tmp_path, variant, **changes)
    monkeypatch.setattr(jax, "device_put", lambda *_, **__: pytest.fail("weights were read"))
    with pytest.raises(InputError, match=f"{file.name}.*{said}"):
        load(file)


@pytest.mark.parametrize(
    ("layers", "width", "found"),
    [(LAYERS, 20, "4 layers that read tokens of width 20"), ({1: 8}, 12, "1 layers that read tokens of width 12")],
)
def test_one_of_another_model(tmp_path, layers, width, found):
    save_file(random_adapter("plus", layers, width, 12), file := write_adapter(tmp_path, "plus"))
    with pytest.raises(InputError, match=f"was made for another model: it has {found}, the model 4 of width 12."):
        load(file)


def test_what_is_no_adapter(tmp_path):
    file = write_adapter(tmp_path, "global")
    with pytest.raises(InputError, match=r"no\.bin is missing"):
        load(tmp_path / "no.bin")
    (tmp_path / "text.bin").write_text("text")
    with pytest.raises(InputError, match=r"text\.bin is corrupt or not a bin file"):
        load(tmp_path / "text.bin")
    for part in ("image_proj", "ip_adapter"):
        alone = {name: tensor for name, tensor in load_file(file).items() if name.startswith(part)}
        save_file(alone, tmp_path / "part.safetensors")
        with pytest.raises(
            InputError, match=r"part\.safetensors is no IP-Adapter, which has tensors image_proj\.\* and"
        ):
            load(tmp_path / "part.safetensors")
    with pytest.raises(InputError, match="dtype is 'float64'; accepted"):
        load(file, "float64")


def test_an_image_encoder_that_cannot_be_read(tmp_path):
    file = write_adapter(tmp_path, "global")
    (tmp_path / "image_encoder" / "config.json").write_text(json.dumps(ENCODER | {"num_hidden_layers": 3}))
    with pytest.raises(InputError, match="image_encoder do not fit the network its config.json describes"):
        load(file)
    shutil.rmtree(tmp_path / "image_encoder")
    with pytest.raises(InputError, match="The image encoder .*image_encoder is not a directory; accepted"):
        load(file)


def test_a_unet_of_other_heads(tmp_path):
    """Files do not tell them: they are the UNet's."""
    file = write_adapter(tmp_path, "global")
    adapter = IPAdapter.from_pretrained(file, replace(UNET, attention_heads=(4, 8)), dtype="float32")
    tokens = jnp.zeros((1, 4, 12))
    assert [keys.shape for keys, _ in adapter.network.module().read(tokens)] == [
        (1, 4, 4, 2), (1, 4, 8, 2), (1, 4, 4, 2), (1, 4, 4, 2)
    ]  # fmt: skip
