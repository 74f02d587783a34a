"""Checkpoints in one file against diffusers: the same weights, bit for bit, as from a directory in its layout."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import original
import published
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import single_file_utils as theirs
from flax import nnx
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from rival_jax.errors import InputError
from rival_jax.models.clip_config import TextConfig
from rival_jax.weights import TEXT_ENCODER, UNET, VAE, Part, plan, sd_keys
from rival_jax.weights.headers import index
from rival_jax.weights.load import _OneKey, build
from rival_jax.weights.original_keys import original as by_original_names
from rival_jax.weights.rules import Table, assign, leaf_paths
from rival_jax.weights.single_file import open_file

from . import checkpoints

KINDS = ("sd1_like", "sd2_like", "sdxl_like")
LAYERS = 2
XL_UNET = {
    "block_out_channels": (32, 64, 96),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 3),
    "attention_head_dim": (2, 4, 6),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 72,
}
XL_TEXT_2 = {"hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4, "projection_dim": 24}


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, dict]:
    """A kind, a directory in diffusers' layout, and diffusers' own tensors of each network by its own names."""
    kind = request.param
    directory = tmp_path_factory.mktemp(kind)
    if kind == "sdxl_like":
        text = {"vocab_size": 600, "num_hidden_layers": 3}
        parts = {
            "unet": checkpoints.unet("sd1_like", **XL_UNET),
            "vae": checkpoints.vae(),
            "text_encoder": checkpoints.text_encoder("sd1_like", 600),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**(text | XL_TEXT_2))),
        }
        for number, (folder, network) in enumerate(parts.items()):
            checkpoints.randomise(network, torch.Generator().manual_seed(number))
            network.save_pretrained(directory / folder)
    else:
        checkpoints.write_checkpoint(kind, directory)
        classes = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
        parts = {folder: made.from_pretrained(directory / folder) for folder, made in classes.items()}
    return kind, directory, {folder: network.state_dict() for folder, network in parts.items()}


def in_one(kind: str, tensors: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """All networks' tensors by the authors' names."""
    text = {
        "sd1_like": lambda: original.clip(tensors["text_encoder"]),
        "sd2_like": lambda: original.open_clip(tensors["text_encoder"], concatenate=torch.cat),
        "sdxl_like": lambda: (
            original.clip(tensors["text_encoder"], original.XL_CLIP)
            | original.open_clip(tensors["text_encoder_2"], original.XL_OPEN_CLIP, torch.cat)
        ),
    }[kind]()
    named = original.unet(tensors["unet"], LAYERS) | original.vae(tensors["vae"], 2) | text
    return {name: tensor.contiguous() for name, tensor in named.items()}


def write(kind: str, directory: Path, tensors: dict, suffix: str) -> Path:
    file = directory / f"single.{suffix}"
    if suffix == "safetensors":
        save_file(in_one(kind, tensors), file)
    else:
        torch.save({"state_dict": in_one(kind, tensors), "global_step": 3}, file)
    return file


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_weights_are_the_directorys(model: tuple[str, Path, dict], suffix: str) -> None:
    kind, directory, tensors = model
    single = open_file(write(kind, directory, tensors, suffix))
    assert f"{single.kind}_like" == kind
    for part in (UNET, VAE, TEXT_ENCODER):
        of_file, of_directory = (plan(directory, part, np.float32, where).sources for where in (single, None))
        assert of_file.keys() == of_directory.keys()
        for path, (stored, layout) in of_file.items():
            wanted, its_layout = of_directory[path]
            np.testing.assert_array_equal(
                layout.leaf(stored.read()), its_layout.leaf(wanted.read()), err_msg=path, strict=True
            )


def test_the_second_text_encoder(model: tuple[str, Path, dict]) -> None:
    kind, directory, tensors = model
    if kind != "sdxl_like":
        pytest.skip("only Stable Diffusion XL has one")
    found = open_file(write(kind, directory, tensors, "safetensors")).tensors["text_encoder_2"]
    config, _ = build(TEXT_ENCODER, directory / "text_encoder_2/config.json", np.float32)
    shapes = leaves(TEXT_ENCODER, config) | {"text_projection.kernel": (48, 24)}
    assigned = [
        assign(table, {name: tuple(tensor.shape) for name, tensor in stored.items()}, shapes, "")
        for table, stored in (
            (by_original_names(sd_keys.TEXT_PROJECTED, config), found),
            (sd_keys.TEXT_PROJECTED, tensors["text_encoder_2"]),
        )
    ]
    for path in shapes:
        (name, layout), (its_name, its_layout) = (sources[path] for sources in assigned)
        wanted = its_layout.leaf(tensors["text_encoder_2"][its_name].numpy())
        np.testing.assert_array_equal(layout.leaf(found[name].read()), wanted, err_msg=path)


def test_diffusers_reads_these_files_as_its_own(model: tuple[str, Path, dict]) -> None:
    """Its converters take the authors' names, as written here, to its own; so they are the authors'."""
    kind, directory, tensors = model
    named = in_one(kind, tensors)
    unet = UNet2DConditionModel.load_config(directory / "unet")
    converted = {
        "unet": theirs.convert_ldm_unet_checkpoint(dict(named), unet),
        "vae": theirs.convert_ldm_vae_checkpoint(dict(named), AutoencoderKL.load_config(directory / "vae")),
    }
    if kind == "sd2_like":
        empty = CLIPTextModel(CLIPTextConfig.from_pretrained(directory / "text_encoder"))
        converted["text_encoder"] = theirs.convert_open_clip_checkpoint(empty, dict(named))
    else:
        converted["text_encoder"] = theirs.convert_ldm_clip_checkpoint(dict(named))
    if kind == "sdxl_like":
        empty = CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(directory / "text_encoder_2"))
        unprojected = {name: tensor for name, tensor in named.items() if not name.endswith("text_projection")}
        converted["text_encoder_2"] = theirs.convert_open_clip_checkpoint(
            empty, unprojected, "conditioner.embedders.1.model."
        )
    for folder, found in converted.items():
        wanted = {name.removeprefix("text_model."): tensor for name, tensor in tensors[folder].items()}
        wanted.pop("text_projection.weight", None)
        assert {name.removeprefix("text_model.") for name in found} == wanted.keys()
        for name, tensor in found.items():
            assert torch.equal(tensor, wanted[name.removeprefix("text_model.")]), name


@pytest.mark.parametrize("kind", KINDS[:2])
def test_diffusers_loads_the_whole_file(kind: str, tmp_path: Path) -> None:
    directory = checkpoints.write_checkpoint(kind, tmp_path / "directory")
    whole = StableDiffusionPipeline.from_pretrained(directory, safety_checker=None)
    tensors = {folder: getattr(whole, folder).state_dict() for folder in ("unet", "vae", "text_encoder")}
    file = write(kind, tmp_path, tensors, "safetensors")
    single = StableDiffusionPipeline.from_single_file(file, config=str(directory), local_files_only=True)
    for folder, wanted in tensors.items():
        found = getattr(single, folder).state_dict()
        assert found.keys() == wanted.keys()
        assert not [name for name in found if not torch.equal(found[name], wanted[name])]


XL_CLIP_2 = published.CLIP | {
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "projection_dim": 1280,
}
TELLING = {
    "sd1": ("v1", "v2", "clip"),
    "sd2": ("v1", "v2", "open_clip"),
    "sdxl": ("clip_sdxl", "open_clip_sdxl", "xl_base"),
}
"""What diffusers calls the names in published files by which it tells their kinds."""


@pytest.mark.parametrize("kind", TELLING)
def test_every_name_at_full_size(kind: str) -> None:
    """Nothing is allocated: every tensor of the published networks has the place that it has from a directory."""
    unet = {"sd1": published.SD1, "sd2": published.SD2, "sdxl": published.SDXL}[kind]
    text = published.OPEN_CLIP if kind == "sd2" else published.CLIP
    with torch.device("meta"):
        tensors = {
            "unet": UNet2DConditionModel(**_public(unet)).state_dict(),
            "vae": AutoencoderKL(**_public(published.AUTOENCODER)).state_dict(),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text)).state_dict(),
        }
        second = CLIPTextModelWithProjection(CLIPTextConfig(**XL_CLIP_2)).state_dict()
    named = {"unet": original.unet(tensors["unet"], LAYERS), "vae": original.vae(tensors["vae"], 4)}
    if kind == "sd2":
        more = {name.replace("layers.22", "layers.23"): tensor for name, tensor in tensors["text_encoder"].items()}
        more |= tensors["text_encoder"]
        named["text_encoder"] = original.open_clip(more, concatenate=torch.cat)
    else:
        named["text_encoder"] = original.clip(tensors["text_encoder"], getattr(original, PREFIX[kind]))
    for part, config in ((UNET, unet), (VAE, published.AUTOENCODER), (TEXT_ENCODER, text)):
        made = part.config.from_dict(config)
        check_names(part.table, made, leaves(part, made), named[part.folder], tensors[part.folder])
    if kind == "sdxl":
        named["text_encoder_2"] = original.open_clip(second, original.XL_OPEN_CLIP, torch.cat)
        made = TextConfig.from_dict(XL_CLIP_2)
        shapes = leaves(TEXT_ENCODER, made) | {"text_projection.kernel": (1280, 1280)}
        check_names(sd_keys.TEXT_PROJECTED, made, shapes, named["text_encoder_2"], second)
    present = {name for group in named.values() for name in group}
    known = {what: theirs.CHECKPOINT_KEY_NAMES[what] for whats in TELLING.values() for what in whats}
    assert {what for what, name in known.items() if name in present} == set(TELLING[kind])


PREFIX = {"sd1": "CLIP", "sdxl": "XL_CLIP"}


def check_names(table: Table, config: Any, shapes: dict, named: dict, tensors: dict) -> None:
    """The authors' names go where diffusers' go; queries, keys and values are told apart by the network's widths."""
    stored = {}
    for name, tensor in named.items():
        if ".in_proj_" in name:
            rows, *rest = tensor.shape
            parts = {name.replace("in_proj_", f"{letter}_proj."): (rows // 3, *rest) for letter in "qkv"}
        else:
            parts = {name: tuple(tensor.shape)}
        stored |= parts
    of_file = assign(by_original_names(table, config), stored, shapes, "")
    of_directory = assign(table, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, shapes, "")
    assert of_file.keys() == of_directory.keys() == shapes.keys()
    if stored.keys() == named.keys():
        renamed = dict(zip(tensors, named, strict=True))
        assert {path: name for path, (name, _) in of_file.items()} == {
            path: renamed[name] for path, (name, _) in of_directory.items()
        }


def leaves(part: Part, config: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's leaves."""
    network = nnx.eval_shape(lambda: part.module(config, dtype=jnp.float32, rngs=_OneKey()))
    return {path: leaf.shape for path, leaf in leaf_paths(nnx.state(network)).items()}


def _public(config: dict) -> dict:
    return {name: value for name, value in config.items() if not name.startswith("_")}


@pytest.mark.parametrize("is_zip", [True, False])
def test_files_that_torch_writes(tmp_path: Path, is_zip: bool) -> None:
    """Today, and before 2020."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(5)).to(torch.bfloat16)
    network.register_buffer("counts", torch.arange(6).reshape(2, 3))
    network.register_parameter("alone", torch.nn.Parameter(torch.randn(4, 4)[1:3]))
    for content in (
        network.state_dict(),
        {"state_dict": network.state_dict(), "epoch": 3},
        dict(network.named_parameters()),
    ):
        torch.save(content, tmp_path / "x.bin", _use_new_zipfile_serialization=is_zip)
        found = index(tmp_path / "x.bin")
        wanted = content.get("state_dict", content)
        assert found.keys() == wanted.keys()
        for name, tensor in wanted.items():
            read = found[name].read()
            assert (read.dtype.name, read.shape) == (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
            np.testing.assert_array_equal(read.astype(np.float64), tensor.detach().to(torch.float64).numpy())


def test_files_of_torch_that_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "x.bin"
    torch.save({"w": torch.randn(3, 4).T}, file)
    with pytest.raises(InputError, match="stores w transposed"):
        index(file)
    torch.save(torch.nn.Linear(2, 2), file)
    with pytest.raises(InputError, match=r"would call torch\.nn\.modules\.linear\.Linear"):
        index(file)
