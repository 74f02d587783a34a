"""What `rival info` says of a model, and what it leaves alone."""

import pytest
from checkpoint import Model
from command import rival
from published import SD1

from rival_jax.info import kernels
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


def test_attention_and_its_memory(lines, checkpoint):
    """The kernel of each size, here and where it must be chunked; more variations need more; one step's cache."""
    said = lines(checkpoint)
    assert said["attention"] == "dense for 64 x 64, dense for 64 x 128, dense for 16 x 16, dense for 16 x 32"
    config = UNetConfig.from_dict(SD1)
    assert config.self_attention(64, 64) == [(4096, 8, 40), (1024, 8, 80), (256, 8, 160), (64, 8, 160)]
    chosen = kernels(config, 64, 64, 8, "float32", None)
    assert (chosen["4096 x 8192"], chosen["256 x 256"]) == ("chunked", "dense")
    assert set(kernels(config, 64, 64, 8, "float32", "dense").values()) == {"dense"}


def test_memory_grows_with_variations(checkpoint):
    def estimate(count):
        [line] = [line for line in rival("info", checkpoint, "-n", count).out.splitlines() if "an estimate" in line]
        number, unit = line.split("about ")[1].split()[:2]
        return float(number) * {"MiB": 1, "GiB": 1024}[unit]

    assert estimate(4) < estimate(40) / 5
