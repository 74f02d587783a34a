"""Bad input to the command: one clear sentence, exit code 2, no traceback, nothing compiled and nothing lost."""

import json
import os
import shutil
import struct
import zlib

import numpy as np
import pytest
from command import rival, save_photo
from PIL import Image

from rival_jax import RivalPipeline


@pytest.fixture
def refused(compilations):
    """Runs a command that must fail on its input; its sentence."""

    def refused(*arguments):
        before = compilations()
        result = rival(*arguments)
        assert result.code == 2 and result.out == "" and compilations() == before
        said = result.err.replace("loading 0/1\n", "").replace("loading 1/1\n", "")
        assert said.startswith("error: ") and said.count("\n") == 1 and said.endswith(".\n")
        return said.removeprefix("error: ").rstrip("\n")

    return refused


@pytest.fixture
def vary(refused, pipe, monkeypatch, tmp_path):
    """`rival vary` on the tests' model with a good photo and prompt, unless other ones are given."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)

    def vary(*flags, photos=None, prompt=("--prompt", "a car")):
        photos = [save_photo(tmp_path / "good.png")] if photos is None else photos
        return refused("vary", *photos, *prompt, *flags)

    return vary


def _claims(width, height):
    """A PNG whose header alone claims these sides."""

    def write(path):
        save_photo(path)
        data = bytearray(path.read_bytes())
        data[16:24] = struct.pack(">II", width, height)
        crc = zlib.crc32(data[12:29])
        data[29:33] = struct.pack(">I", crc)
        path.write_bytes(data)

    return write


def _cut(path):
    save_photo(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[:2000])


PHOTOS = {
    "missing.png": (lambda path: None, "cannot be read (No such file or directory)"),
    "folder.png": (lambda path: path.mkdir(), "is not a file"),
    "empty.png": (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
    "text.png": (lambda path: path.write_text("hello"), "is not a picture that Pillow can read"),
    "cut.png": (_cut, "is damaged or cut short"),
    "low.png": (lambda path: save_photo(path, size=(200, 15)), "is 200 x 15 pixels; the shorter side must have"),
    "large.png": (_claims(10_001, 10_000), "has more than 100 megapixels"),
    "huge.png": (_claims(100_000, 100_000), "has more than 100 megapixels"),
    "float.tiff": (lambda path: Image.fromarray(np.ones((20, 20), np.float32)).save(path), "floating-point pixels"),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_photos(vary, tmp_path, name):
    """Also when it is the last of several."""
    write, reason = PHOTOS[name]
    write(tmp_path / name)
    for photos in ([tmp_path / name], [save_photo(tmp_path / "a.png"), tmp_path / name]):
        sentence = vary(photos=photos)
        assert sentence.startswith(str(tmp_path / name)) and reason in sentence


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("-n", 0), "num_variations is 0, but must be a whole number from 1 to"),
        (("-n", -1), "num_variations is -1, but must be"),
        (("--num-inference-steps", 0), "num_inference_steps is 0, but must be"),
        (("--num-inference-steps", 1000), "num_inference_steps"),
        (("--num-inference-steps", 10**9), "num_inference_steps"),
        (("--t-align", 1000.5), "t_align is 1000.5, but must be from 0 to 1000"),
        (("--t-align", -1), "t_align is -1.0, but must be from 0 to 1000"),
        (("--t-early", 1001), "t_early is 1001.0, but must be from 0 to 1000"),
        (("--t-early", "nan"), "t_early is nan, but must be from 0 to 1000"),
        (("--attention-start", 1001), "attention_start is 1001.0, but must be from 0 to 1000"),
        (("--guidance-scale", "nan"), "guidance_scale is nan, but must be a finite number"),
        (("--guidance-scale", "inf"), "guidance_scale is inf, but must be a finite number"),
        (("--seed", -1), "seed is -1, but must be an integer from 0 to"),
        (("--seed", 2**32), "seed is 4294967296, but must be"),
        (("--seed", 1, "--seed", 2), "seed has 2 entries, but the number of photos is 1"),
        (("--prompt", "another"), "prompt has 2 entries, but the number of photos is 1"),
        (("--source-prompt", "a", "--source-prompt", "b"), "source_prompt has 2 entries"),
        (("--negative-prompt", "a", "--negative-prompt", "b"), "negative_prompt has 2 entries"),
        (("--height", 17), "height is 17, but must be a multiple of 4 pixels"),
        (("--width", 0), "width is 0, but must be a multiple of 4 pixels"),
    ],
)
def test_arguments(vary, flags, sentence):
    assert sentence in vary(*flags)


def test_prompt_is_missing(vary):
    assert "prompt is missing" in vary(prompt=())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vary", "a.png", "--initial", "zeros"), ("--initial", "zeros", "shuffle", "inverted")),
        (("vary", "a.png", "--align", "colour"), ("--align", "colour", "latent")),
        (("vary", "a.png", "--dtype", "int8"), ("--dtype", "int8", "bfloat16")),
        (("vary", "a.png", "-n", "four"), ("--num-variations", "four")),
        (("vary", "a.png", "--steps", "4"), ("--steps",)),
        (("vary", "a.png", "--t-align"), ("--t-align",)),
        (("paint",), ("paint", "vary", "info")),
    ],
)
def test_the_command_line(refused, arguments, words):
    sentence = refused(*arguments)
    assert all(word in sentence for word in words) and not set("╭│╯") & set(sentence), sentence


def test_an_unusable_folder(vary, tmp_path):
    (tmp_path / "file").write_text("kept")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(tmp_path / "file") in vary("--out", out)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_bad_second_photo_loses_nothing(vary, tmp_path):
    """An existing folder is left as it was."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "variation-0001.png").write_text("kept")
    photos = [save_photo(tmp_path / "a.png"), tmp_path / "missing.png"]
    vary("--out", tmp_path / "out", photos=photos)
    assert os.listdir(tmp_path / "out") == ["variation-0001.png"]
    vary("--out", tmp_path / "new", photos=photos)
    assert not (tmp_path / "new").exists()


def test_no_model_is_loaded_for_a_bad_photo_or_argument(refused, tmp_path):
    """Which is why this one is not missed."""
    photo = save_photo(tmp_path / "a.png")
    assert "missing.png" in refused("vary", "missing.png", "--prompt", "a", "--model", "nowhere")
    assert "t_align" in refused("vary", photo, "--prompt", "a", "--model", "nowhere", "--t-align", 2000)
    assert "nowhere" in refused("vary", photo, "--prompt", "a", "--model", "nowhere")


@pytest.fixture
def model(checkpoint, tmp_path):
    """A copy of the tests' model, to be broken."""
    return shutil.copytree(checkpoint, tmp_path / "model")


def _truncate(model):
    file = model / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _garble(model):
    (model / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 1000)


def _configure(part, **changes):
    def change(model):
        file = model / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def _unlink(name):
    return lambda model: (model / name).unlink()


MODELS = {
    "truncated weights": (_truncate, "unet/diffusion_pytorch_model.safetensors"),
    "garbled weights": (_garble, "vae/diffusion_pytorch_model.safetensors"),
    "no weights": (_unlink("unet/diffusion_pytorch_model.safetensors"), "unet"),
    "no config": (_unlink("vae/config.json"), "vae/config.json"),
    "config is no JSON": (lambda model: (model / "vae" / "config.json").write_text("{"), "vae/config.json"),
    "unknown value": (_configure("unet", act_fn="mish"), "act_fn = 'mish' is not supported"),
    "unknown field": (_configure("unet", attention_gate=2), "attention_gate = 2 is not supported"),
    "other widths": (_configure("unet", block_out_channels=[8, 32]), "shape"),
    "unknown betas": (_configure("scheduler", beta_schedule="sigmoid"), "beta_schedule"),
    "unknown prediction": (_configure("scheduler", prediction_type="sample"), "prediction_type"),
    "no tokenizer": (lambda model: shutil.rmtree(model / "tokenizer"), "tokenizer"),
}


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("command", ["vary", "info"])
def test_models(refused, model, tmp_path, case, command):
    spoil, words = MODELS[case]
    spoil(model)
    if command == "vary":
        photo = save_photo(tmp_path / "good.png")
        assert words in refused("vary", photo, "--prompt", "a car", "--model", model)
    elif case != "no tokenizer":  # which `rival info` does not read
        assert words in refused("info", model)


@pytest.mark.parametrize("name", ["no/such/model", "nobody/nothing", "folder", "file.safetensors", "a b c"])
def test_models_that_are_none(refused, tmp_path, name):
    """Neither here nor, if there is a network, on the hub."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.safetensors").write_bytes(b"")
    for command in (("info", name), ("vary", save_photo(tmp_path / "a.png"), "--prompt", "a", "--model", name)):
        assert name in refused(*command)


def test_a_config_file(refused, tmp_path):
    (tmp_path / "a.toml").write_text("steps = 3")
    assert "a.toml has unknown keys: steps; accepted:" in refused("vary", "--config", tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text("t_align = 'late'")
    assert "b.toml's t_align = 'late' is not supported" in refused("vary", "--config", tmp_path / "b.toml")
    assert "none.toml cannot be read" in refused("vary", "--config", tmp_path / "none.toml")
