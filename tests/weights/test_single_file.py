"""Checkpoints in one file: into the same networks as from a directory, or one sentence."""

import json
import re
import shutil

import huggingface_hub
import numpy as np
import original
import pytest
from checkpoint import Model
from command import rival, save_photo
from safetensors.numpy import save_file
from torch_file import save

from rival_jax import RivalPipeline
from rival_jax.errors import InputError
from rival_jax.parts import one_file, plans
from rival_jax.weights.fingerprint import fingerprint
from rival_jax.weights.load import read
from rival_jax.weights.rules import leaf_paths


def networks(tensors):
    """A tiny model's tensors as in a file of Stable Diffusion 1, each network apart."""
    layers = Model.configs["unet"]["layers_per_block"]
    return {
        "unet": original.unet(tensors["unet"], layers),
        "vae": original.vae(tensors["vae"], len(Model.configs["vae"]["block_out_channels"])),
        "text_encoder": original.clip(tensors["text_encoder"]),
    }


def together(parts):
    return {name: tensor for part in parts.values() for name, tensor in part.items()}


LEFTOVERS = {
    "alphas_cumprod": np.zeros(10, np.float32),
    "betas": np.zeros(10, np.float32),
    "sqrt_one_minus_alphas_cumprod": np.zeros(10, np.float32),
    "posterior_mean_coef1": np.zeros(10, np.float32),
    "model_ema.decay": np.zeros((), np.float32),
    "model_ema.diffusion_modelinput_blocks00weight": np.zeros(3, np.float32),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": np.arange(10)[None],
    "cond_stage_model.logit_scale": np.zeros((), np.float32),
    "cond_stage_model.text_projection": np.zeros((3, 3), np.float32),
}


@pytest.fixture
def sd1(model):
    """What a file of Stable Diffusion 1 holds; `model` is left with configs only."""
    for folder in model.configs:
        model.remove(folder)
    return together(networks(model.tensors))


def assert_model(model, file, dtype="float32"):
    """The file's networks are the model's."""
    _, _, parts = plans(file, dtype, model.directory)
    for part in parts.values():
        leaves, wanted = leaf_paths(read(part)), leaf_paths(model.states[part.folder.name])
        assert leaves.keys() == wanted.keys()
        for path, leaf in leaves.items():
            np.testing.assert_array_equal(np.asarray(leaf, np.float32), wanted[path], err_msg=path)
    assert one_file(parts) == file


@pytest.mark.parametrize("leftovers", [{}, LEFTOVERS], ids=["bare", "leftovers"])
@pytest.mark.parametrize("name", ["m.safetensors", "m.ckpt", "m.pt", "m.bin"])
def test_stable_diffusion_1(model, sd1, tmp_path, name, leftovers):
    write = save_file if name.endswith("safetensors") else lambda tensors, file: save(file, tensors)
    write(sd1 | leftovers, tmp_path / name)
    assert_model(model, tmp_path / name)


def test_half_precision(model, sd1, tmp_path):
    save_file({name: tensor.astype(np.float16) for name, tensor in sd1.items()}, tmp_path / "m.safetensors")
    assert_model(model, tmp_path / "m.safetensors", "float16")


def test_stable_diffusion_2(model, sd1, tmp_path):
    """Its last layer, which nothing reads, and its projection are left alone; attention's inputs are one tensor."""
    text = model.tensors["text_encoder"]
    last = {name.replace("layers.1", "layers.2"): np.zeros_like(text[name]) for name in text if "layers.1" in name}
    others = {"text_projection.weight": np.zeros((12, 12), np.float32)}
    tensors = {name: tensor for name, tensor in sd1.items() if not name.startswith(original.CLIP)}
    tensors |= original.open_clip(text | last | others)
    tensors["cond_stage_model.model.logit_scale"] = np.zeros((), np.float32)
    fused = "cond_stage_model.model.transformer.resblocks.{}.attn.in_proj_weight"
    assert tensors[fused.format(0)].shape == (36, 12) and fused.format(2) in tensors
    save_file(tensors, tmp_path / "m.safetensors")
    assert_model(model, tmp_path / "m.safetensors")


def test_a_layer_that_the_config_does_not_know_is_an_error(model, sd1, tmp_path):
    text = model.tensors["text_encoder"]
    more = {name.replace("layers.1", "layers.3"): text[name] for name in text if "layers.1" in name}
    tensors = {name: tensor for name, tensor in sd1.items() if not name.startswith(original.CLIP)}
    save_file(tensors | original.open_clip(text | more), tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"no place for: cond_stage_model\.model\.transformer\.resblocks\.3\."):
        plans(tmp_path / "m.safetensors", "float32", model.directory)


def test_the_pipeline_draws_the_same(model, checkpoint, pipe, photos, tmp_path):
    save_file(together(networks(model.tensors)), tmp_path / "m.safetensors")
    single = RivalPipeline.from_pretrained(tmp_path / "m.safetensors", "float32", config=checkpoint)
    assert single.file == tmp_path / "m.safetensors" and single.directory == checkpoint.resolve()
    asked = {"prompt": "a red house", "num_inference_steps": 2}
    np.testing.assert_array_equal(single.vary(photos[0], **asked).images, pipe.vary(photos[0], **asked).images)


def refused(tensors, tmp_path, config, words):
    """A file of these tensors is refused in one sentence that names it, without anything being read."""
    file = tmp_path / "m.safetensors"
    save_file(tensors, file)
    with pytest.raises(InputError, match=words) as caught:
        plans(file, "float32", config)
    said = str(caught.value)
    assert str(file) in said and said.endswith(".") and "\n" not in said


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (("unet",), r"holds the UNet only: the VAE \(first_stage_model\.\*\), the text encoder \(cond_stage_model"),
        (("unet", "vae"), r"holds the UNet and the VAE only: the text encoder \(.* or conditioner\.embedders\.0\.\*\)"),
        (("vae", "text_encoder"), r"only: the UNet \(model\.diffusion_model\.\*\) "),
    ],
)
def test_files_that_lack_a_network(model, tmp_path, kept, words):
    parts = networks(model.tensors)
    refused(together({part: parts[part] for part in kept}), tmp_path, model.directory, words)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"], "is a LoRA"),
        (["unet.down_blocks.0.attentions.0.to_q.lora_A.weight"], "is a LoRA"),
        (["encoder.down.0.block.0.conv1.weight", "decoder.conv_in.weight", "quant_conv.bias"], "is a VAE alone"),
        (["encoder.down_blocks.0.resnets.0.conv1.weight"], "is a VAE alone"),
        (["conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"], "is one network of a model in the diffusers"),
        (["text_model.encoder.layers.0.mlp.fc1.bias"], "is a text encoder alone"),
        (["control_model.input_blocks.0.0.weight"], "is a ControlNet"),
        (["emb_params"], "is a textual inversion"),
        (["a", "b"], "is no Stable Diffusion model: it lacks the UNet"),
    ],
)
def test_files_that_are_no_models(model, tmp_path, names, words):
    refused({name: np.zeros(3, np.float32) for name in names}, tmp_path, model.directory, f"m.safetensors {words}")


def test_tensors_that_no_model_has_are_listed(model, sd1, tmp_path):
    more = {"depth_model.a": np.zeros(2), "zz": np.zeros(2)}
    refused(sd1 | more, tmp_path, model.directory, "has 2 tensors that no model has: depth_model.a, zz")
    more = {"model.diffusion_model.zz": np.zeros(2)}
    refused(sd1 | more, tmp_path, model.directory, r"\(unet, .*no place for: model\.diffusion_model\.zz")


def test_an_inpainting_model(model, sd1, tmp_path):
    first = original.UNET + "input_blocks.0.0.weight"
    wide = np.zeros((8, 9, 3, 3), np.float32)
    words = r"m\.safetensors .* of another shape: .*input_blocks\.0\.0\.weight \(gives \[3, 3, 9, 8\]"
    refused(sd1 | {first: wide}, tmp_path, model.directory, words)


def test_the_refiner_of_stable_diffusion_xl(model, sd1, tmp_path):
    tensors = {name: tensor for name, tensor in sd1.items() if not name.startswith(original.CLIP)}
    tensors |= original.open_clip(model.tensors["text_encoder"], "conditioner.embedders.0.model.")
    refused(tensors, tmp_path, model.directory, "is the refiner of Stable Diffusion XL")


def test_a_config_of_another_kind(model, sd1, tmp_path):
    model.write_config("unet", model.configs["unet"] | {"cross_attention_dim": 20})
    words = r"reads prompts of width 12, but the configs in .* width 20: give the config \(--model-config\)"
    refused(sd1, tmp_path, model.directory, words)


def test_attention_that_is_not_three(model, sd1, tmp_path):
    name = original.OPEN_CLIP + "transformer.resblocks.0.attn.in_proj_weight"
    refused(sd1 | {name: np.zeros((4, 4))}, tmp_path, model.directory, r"in_proj_weight as \[4, 4\], which is no three")


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 50, None])
@pytest.mark.parametrize("name", ["m.safetensors", "m.ckpt"])
def test_files_that_cannot_be_read(model, tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"weight file .*{name} is (empty|missing|corrupt|a Git LFS pointer)"):
        plans(tmp_path / name, "float32", model.directory)


def test_a_config_must_be_a_directory(model, sd1, tmp_path):
    file = tmp_path / "m.safetensors"
    save_file(sd1, file)
    with pytest.raises(InputError, match="The model .*nowhere is not a directory"):
        plans(file, "float32", model.directory / "nowhere")
    with pytest.raises(InputError, match="The config .*m.safetensors is a file; accepted: a directory"):
        plans(file, "float32", file)


def test_a_directory_takes_no_config(model):
    with pytest.raises(InputError, match="is of a model in one file, but .* is none"):
        plans(model.directory, "float32", model.directory)


def test_without_a_config_that_of_its_kind_is_fetched(model, sd1, tmp_path, monkeypatch):
    """And nothing else: the hub's weights stay there."""
    asked = {}

    def snapshot_download(repository, allow_patterns, local_files_only=False):
        asked[repository] = allow_patterns
        return str(model.directory)

    def model_info(*_, **__):
        return huggingface_hub.hf_api.ModelInfo(id="x", siblings=[{"rfilename": "unet/x.safetensors"}])

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    save_file(sd1, tmp_path / "m.safetensors")
    plans(tmp_path / "m.safetensors", "float32")
    ((repository, patterns),) = asked.items()
    assert repository == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert not [pattern for pattern in patterns if "safetensors" in pattern or "bin" in pattern]


def test_without_a_config_and_without_the_hub(sd1, tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    refused(sd1, tmp_path, None, r"holds weights only, .* from the hub: give config \(--model-config\), a directory")


@pytest.mark.slow
def test_the_command(model, checkpoint, tmp_path):
    file = tmp_path / "m.safetensors"
    save_file(together(networks(model.tensors)), file)
    said = rival("info", file, "--model-config", checkpoint)
    assert said.code == 0 and f"{file}, by the configs of {checkpoint.resolve()}" in said.out
    photo = save_photo(tmp_path / "a.png")
    asked = ("--num-inference-steps", 2, "-n", 1, "--prompt", "a car", "--out", tmp_path / "out")
    assert rival("vary", photo, *asked, "--model", file, "--model-config", checkpoint).code == 0
    arguments = json.loads((tmp_path / "out/run.json").read_text())["arguments"]
    assert (arguments["model"], arguments["model_config"]) == (str(file), str(checkpoint.resolve()))
    assert rival("vary", "--config", tmp_path / "out/run.json").code == 0
    first, again = (tmp_path / f"out/variation-000{number}.png" for number in (1, 2))
    assert first.read_bytes() == again.read_bytes()


def test_help_names_files():
    for command in ("vary", "warmup", "info"):
        said = re.sub(r"\W+", " ", rival(command, "--help").out)
        assert "model config" in said and "in one file" in said


def test_the_fingerprint_is_of_file_and_configs(model, sd1, tmp_path):
    file = save(tmp_path / "m.ckpt", sd1)
    seen = [fingerprint(model.directory, file)]
    assert fingerprint(model.directory, shutil.copy(file, tmp_path / "n.ckpt")) == seen[0]
    model.write_config("vae", model.configs["vae"] | {"scaling_factor": 0.2})
    seen.append(fingerprint(model.directory, file))
    save(file, sd1 | LEFTOVERS)
    seen.append(fingerprint(model.directory, file))
    assert len(set(seen)) == 3
