"""`rival interpolate`: what it writes, what its record says, and what it refuses before it computes anything."""

import json

import numpy as np
import pytest
from command import rival, save_photo
from ip_adapters import write_adapter
from PIL import Image

from rival_jax import RivalPipeline

SHORT = ("--num-inference-steps", 4, "-n", 3, "--coefficients", "beta")
ENDS = ("--start", "a red car", "--end", "a house")


@pytest.fixture
def use_pipe(pipe, monkeypatch):
    """The command takes the tests' model, loaded and compiled once."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)


def read(path):
    return np.asarray(Image.open(path))


def test_from_prompt_to_prompt(use_pipe, pipe, tmp_path):
    result = rival("interpolate", *ENDS, *SHORT, "--animation", "gif", "--guide-prompt", "a red house", "--seed", 3)
    assert result.code == 0, result.err
    names = [f"frame-000{n}.png" for n in (1, 2, 3)] + ["strip.png", "sequence.gif"]
    assert result.err.splitlines()[-1] == f"out has {', '.join([*names, 'run.json'])}."
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["files"] == names and record["coefficients"] == [0, 0.5, 1]
    assert record["closest_to_guide"] in names[:3] and 0.5 <= record["scores"]["smoothness"] <= 1
    settings = {"coefficients": "beta", "num_inference_steps": 4, "seed": 3}
    wanted = pipe.interpolate("a red car", "a house", 3, "a red house", **settings)
    np.testing.assert_array_equal([read(tmp_path / "out" / name) for name in names[:3]], wanted.images[0])
    assert names[int(wanted.closest("a red house")[0])] == record["closest_to_guide"]
    with Image.open(tmp_path / "out/sequence.gif") as moving:
        assert moving.n_frames == 4 and moving.size == (16, 16)


def test_from_photo_to_photo(use_pipe, pipe, tmp_path):
    photos = [save_photo(tmp_path / f"{seed}.png", seed, (16, 16)) for seed in (0, 1)]
    result = rival("interpolate", *photos, *ENDS, *SHORT, "--t-early", 600)
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert [file["path"] for file in record["photos"]] == [str(photo) for photo in photos]
    chains = [pipe.invert(photo, text, 4) for photo, text in zip(photos, ENDS[1::2], strict=True)]
    wanted = pipe.interpolate(*chains, 3, coefficients="beta", align="latent", t_early=600)
    np.testing.assert_array_equal(read(tmp_path / "out/frame-0002.png"), wanted.images[0, 1])


@pytest.mark.slow
def test_an_edited_photo(use_pipe, tmp_path):
    photo = save_photo(tmp_path / "a.png", 0, (16, 16))
    result = rival("interpolate", photo, *ENDS, *SHORT, "--prompt-to-prompt")
    assert result.code == 0, result.err


@pytest.mark.slow
def test_pictures_as_conditions(use_pipe, pipe, tmp_path):
    photos = [save_photo(tmp_path / f"{seed}.png", seed, (16, 16)) for seed in (0, 1)]
    shown = ("--image-start", photos[0], "--image-end", photos[1], "--ip-adapter", write_adapter(tmp_path, "global"))
    result = rival("interpolate", *shown, *SHORT, "--dtype", "float32")
    assert result.code == 0, result.err
    assert len(json.loads((tmp_path / "out/run.json").read_text())["shown"]) == 2


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--start", "a car"), "end is missing: say what it shows, or name its photo."),
        (("a.png", "a.png", "a.png"), "photos has 3 entries; give the start's and the end's"),
        (("b.png", "--end", "a car"), "b.png cannot be read"),
        ((*ENDS, "-n", 2), "num_frames is 2, but must be a whole number from 3"),
        (("a.png", *ENDS, "--kind", "middle"), "invalid choice 'middle' for argument '--kind'"),
        (("a.png", *ENDS, "--warmup-ratio", 2), "warmup_ratio is 2.0, but must be from 0 to 1."),
        (("a.png", *ENDS, "--seed", -1), "seed is -1"),
        (("a.png", *ENDS, "--t-early", "nan"), "t_early is nan"),
        (("a.png", *ENDS, "--align", "noise"), "align is 'noise'; accepted: 'none', 'latent'."),
        (("a.png", *ENDS, "--coefficients", "search", "--warmup-ratio", 0.0), "have more steps interpolate"),
        (("a.png", "a.png", "--prompt-to-prompt"), "prompt_to_prompt edits the start; say what the end shows"),
        (("a.png", *ENDS, "--image-end", "a.png"), "are for an IP-Adapter; give ip_adapter too"),
        ((*ENDS, "--lpips", "a.png", "--clip", "nowhere"), "lpips and clip are both given"),
        ((*ENDS, "--clip", "nowhere"), "nowhere is not a directory"),
        ((*ENDS, "--lpips", "a.png"), "a.png"),
    ],
)
def test_bad_input(use_pipe, pipe, monkeypatch, tmp_path, flags, sentence):
    """One sentence, before any photo is inverted."""
    monkeypatch.setattr(type(pipe), "invert", lambda *_, **__: pytest.fail("a photo was inverted"))
    save_photo(tmp_path / "a.png", 0, (16, 16))
    result = rival("interpolate", *flags)
    assert result.code == 2 and sentence in result.err.splitlines()[-1]
    assert not list(tmp_path.glob("out/*.png"))


def test_no_ffmpeg(use_pipe, monkeypatch):
    monkeypatch.setenv("PATH", "")
    result = rival("interpolate", *ENDS, "--animation", "mp4")
    assert result.code == 2 and "there is no ffmpeg; accepted without it: 'gif'." in result.err
