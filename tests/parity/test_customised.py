"""LoRA and textual inversions as diffusers and peft load them, float32, from files that diffusers writes.

`pytest -m parity tests/parity/test_customised.py -s` prints the errors that are reached.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.training_utils import _collate_lora_metadata
from diffusers.utils import convert_state_dict_to_kohya
from safetensors.torch import load_file, save_file

from rival_jax import RivalPipeline

from .checkpoints import write_checkpoint
from .comparison import nchw, nhwc, relative

peft = pytest.importorskip("peft", reason="diffusers loads LoRA with peft: pip install -e '.[parity]'")

LIMIT = 1e-5
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
EVERYTHING = [*ATTENTION, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "conv_shortcut"]
EVERYTHING += ["time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv", "conv_in", "conv_out", "linear_1"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
PROMPTS = ["a red house", "on grass"]


@pytest.fixture(scope="module", params=["sd1_like", pytest.param("sd2_like", marks=pytest.mark.slow)])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(request.param, tmp_path_factory.mktemp(request.param))


def theirs(checkpoint: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(checkpoint, safety_checker=None, feature_extractor=None)


def write_lora(checkpoint: Path, folder: Path, targets: list[str], alike: bool = False) -> Path:
    """A random LoRA of these layers of the UNet and all of the text encoder, saved by diffusers.

    Some layers have a rank and an alpha of their own, unless all are `alike`.
    """
    pipe, generator = theirs(checkpoint), torch.Generator().manual_seed(0)
    layers = {}
    for name, network, alpha, modules in (
        ("unet", pipe.unet, 6, targets),
        ("text_encoder", pipe.text_encoder, 2, TEXT),
    ):
        patterns = {} if alike else {"alpha_pattern": {modules[0]: 3}, "rank_pattern": {modules[1]: 5}}
        network.add_adapter(peft.LoraConfig(r=4, lora_alpha=alpha, target_modules=modules, **patterns))
        for key, parameter in network.named_parameters():
            if "lora_" in key:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
        layers[f"{name}_lora_layers"] = peft.get_peft_model_state_dict(network)
    metadata = _collate_lora_metadata({"unet": pipe.unet, "text_encoder": pipe.text_encoder})
    pipe.save_lora_weights(folder, **layers, **metadata)
    return folder / "pytorch_lora_weights.safetensors"


def outputs(pipe: StableDiffusionPipeline, prompts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """What torch's text encoder says of prompts, and its UNet of noise with them."""
    prompts = pipe.maybe_convert_prompt(prompts, pipe.tokenizer)
    ids = pipe.tokenizer(prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    text = pipe.text_encoder(ids).last_hidden_state
    return text.numpy(), nhwc(pipe.unet(nchw(noise()), torch.tensor([1, 801]), text).sample)


def ours(pipe: RivalPipeline, prompts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    with pipe.precision():
        text = pipe.embed(tuple(prompts), (32, 32)).tokens
        predicted = pipe.unet.module()(jnp.asarray(noise()), jnp.asarray([1, 801], jnp.int32), text)
    return np.asarray(text), np.asarray(predicted)


def noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, 16, 16, 4), dtype=np.float32)


def check(what: str, found: tuple, expected: tuple, before: tuple) -> None:
    """Both outputs agree, and neither is what it would be without the concept."""
    for part, one, other, plain in zip(("text encoder", "unet"), found, expected, before, strict=True):
        error, change = relative(one, other), relative(plain, other)
        print(f"\n{what}, {part}: {error:.1e}; without it {change:.1e}")
        assert error <= LIMIT and change > 1e-2


@torch.no_grad()
@pytest.mark.parametrize(
    "targets",
    [pytest.param(ATTENTION, id="attention", marks=pytest.mark.slow), pytest.param(EVERYTHING, id="everything")],
)
def test_lora(checkpoint: Path, tmp_path: Path, targets: list[str]) -> None:
    file = write_lora(checkpoint, tmp_path, targets)
    torch_pipe = theirs(checkpoint)
    torch_pipe.load_lora_weights(tmp_path)
    torch_pipe.fuse_lora(lora_scale=0.7)
    pipe = RivalPipeline.from_pretrained(checkpoint, "float32")
    found = ours(pipe.load_lora_weights(file, 0.7), PROMPTS)
    check(f"{checkpoint.name} lora", found, outputs(torch_pipe, PROMPTS), ours(pipe, PROMPTS))


@torch.no_grad()
def test_kohya(checkpoint: Path, tmp_path: Path) -> None:
    """As diffusers itself renames its file for other programs; where alphas differ, it does not apply them itself."""
    tensors = load_file(write_lora(checkpoint, tmp_path, ATTENTION, alike=True))
    renamed = convert_state_dict_to_kohya(tensors)
    halved = {key: tensor / 2 if key.endswith(".alpha") else tensor for key, tensor in renamed.items()}
    save_file(halved, file := tmp_path / "kohya.safetensors")
    torch_pipe = theirs(checkpoint)
    torch_pipe.load_lora_weights(tmp_path, weight_name=file.name)
    pipe = RivalPipeline.from_pretrained(checkpoint, "float32")
    found = ours(pipe.load_lora_weights(file), PROMPTS)
    check(f"{checkpoint.name} kohya", found, outputs(torch_pipe, PROMPTS), ours(pipe, PROMPTS))


@torch.no_grad()
def test_textual_inversions(checkpoint: Path, tmp_path: Path) -> None:
    """Of one vector and of three, in the middle of words and sentences."""
    torch_pipe, pipe = theirs(checkpoint), RivalPipeline.from_pretrained(checkpoint, "float32")
    generator = torch.Generator().manual_seed(0)
    learnt = pipe
    for token, count in (("<cat>", 1), ("<dog>", 3)):
        vectors = torch.randn(count, torch_pipe.text_encoder.config.hidden_size, generator=generator)
        save_file({token: vectors[0] if count == 1 else vectors}, tmp_path / f"{count}.safetensors")
        torch_pipe.load_textual_inversion(tmp_path, weight_name=f"{count}.safetensors")
        learnt = learnt.load_textual_inversion(tmp_path / f"{count}.safetensors")
    prompts = ["a red<cat> and <dog> on grass", "<dog> of <cat>, <dog>"]
    found = ours(learnt, prompts)
    check(f"{checkpoint.name} textual inversion", found, outputs(torch_pipe, prompts), ours(pipe, prompts))
