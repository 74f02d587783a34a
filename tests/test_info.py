"""What `rival info` says of a model, and what it leaves alone."""

import jax.numpy as jnp
import pytest
from checkpoint import Model
from command import rival
from published import SD1

from rival_jax.info import activation_bytes
from rival_jax.models.config import UNetConfig


@pytest.fixture
def lines(compilations):
    """The lines of a successful `rival info`, by their names."""

    def lines(*arguments):
        before = compilations()
        result = rival("info", *arguments)
        assert result.code == 0 and result.err == "" and compilations() == before
        return {line[:13].strip(): line[14:] for line in result.out.splitlines()}

    return lines


def test_a_checkpoint(lines, checkpoint):
    said = lines(checkpoint, "--dtype", "bfloat16")
    assert said["model"] == str(checkpoint)
    assert said["pictures"] == "16 x 16 pixels by default; sides are multiples of 4"
    assert said["latents"] == "4 channels, 2 pixels a cell" and said["prompts"] == "10 tokens of width 12"
    assert said["prediction"].startswith("noise, ") and said["dtype"] == "bfloat16 (VAE float32)"
    assert {"UNet", "VAE", "text encoder", "memory"} <= set(said)


def test_sizes_are_the_files(lines, tmp_path):
    model = Model(tmp_path)
    said = lines(tmp_path, "--dtype", "float32")
    for name, folder in (("UNet", "unet"), ("VAE", "vae"), ("text encoder", "text_encoder")):
        count = sum(tensor.size for tensor in model.tensors[folder].values())
        assert said[name].startswith(f"{count / 1e6:.1f} M parameters"), name


def test_the_embedded_model(lines):
    assert lines()["pictures"].startswith("48 x 48 pixels") and "noise" in lines()["prediction"]


def test_the_estimate_counts_what_grows():
    """Rows in proportion; the scores of Stable Diffusion 1.x dominate: 8 heads, 64 x 64 tokens, keys twice."""
    config = UNetConfig.from_dict(SD1)
    one, three = (activation_bytes(config, rows, 4) for rows in (1, 3))
    assert three == 3 * one and one > 8 * 4096 * 8192 * 4
    assert activation_bytes(config, 1, jnp.dtype(jnp.bfloat16).itemsize) < one
