"""The run's record: what it says, and what is read back from it and from presets."""

import hashlib
import json
import os
import platform
from pathlib import Path

import jax
import numpy as np
import pytest
from command import rival, save_photo
from PIL import Image

from rival_jax import InputError, RivalPipeline, record
from rival_jax.arguments import Vary

CONFIGS = Path(__file__).parents[1] / "configs"
PRESETS = sorted({*CONFIGS.glob("*.toml")} - {CONFIGS / "augment.toml"})  # which is a job


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_versions_and_digest(tmp_path):
    versions = record.versions()
    assert versions["python"] == platform.python_version() and versions["jax"] == jax.__version__
    assert versions["rival-jax"] and set(record.PACKAGES) < set(versions)
    (tmp_path / "a").write_bytes(b"abc")
    assert record.sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_json_keeps_any_text_and_any_path():
    """Readable where it can be, and bytes that are no Unicode (a file name may have them) come back as they were."""
    content = {"prompt": 'häuser 🏠 "[red]"\n', "photo": Path(os.fsdecode(b"\xff.png")), "scale": 7.5}
    data = record.to_json(content)
    assert "häuser 🏠".encode() in data and data.endswith(b"}\n")
    assert json.loads(data.decode()) == content | {"photo": os.fsdecode(b"\xff.png")}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets(path, tmp_path):
    """Every preset loads, says how it is used, and fails with a key that nobody knows."""
    settings = record.read_settings(path, Vary)
    assert settings and Vary(**settings)
    text = path.read_text()
    assert text.startswith("# ") and f"--config configs/{path.name}" in text
    with pytest.raises(InputError, match="has unknown keys: steps; accepted: photos, prompt, "):
        record.read_settings(write(tmp_path / "a.toml", f"steps = 3\n{text}"), Vary)


def test_there_are_presets():
    assert {path.stem for path in PRESETS} >= {"controlnet", "edit", "generate", "inpaint", "paper"}


@pytest.mark.parametrize("name", ["a.toml", "a.json"])
def test_settings_are_typed(tmp_path, name):
    content = 'prompt = "a car"\nphotos = ["x.png"]\nseed = [1, 2]\nt_align = 500\nout = "there"'
    values = {"prompt": "a car", "photos": ["x.png"], "seed": [1, 2], "t_align": 500, "out": "there"}
    path = write(tmp_path / name, content if name == "a.toml" else {"arguments": values})
    assert record.read_settings(path, Vary) == {
        "prompt": ("a car",),
        "photos": (Path("x.png"),),
        "seed": (1, 2),
        "t_align": 500,
        "out": Path("there"),
    }


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.toml", "seed = ", "a.toml is not valid TOML: Invalid value"),
        ("a.toml", "seed = 1\nseed = 2", "a.toml is not valid TOML"),
        ("a.yaml", "seed: 1", "a.yaml is not valid TOML"),
        ("a.json", "{", "a.json is not valid JSON"),
        ("a.json", [1], "a.json holds no arguments; accepted: a preset .TOML. or a run.json"),
        ("a.json", {"seed": 1}, "a.json holds no arguments"),
        ("a.json", {"arguments": [1]}, "a.json holds no arguments"),
        ("a.json", {"arguments": {"sed": 1}}, "a.json has unknown keys: sed"),
        ("a.toml", "[vary]\nseed = 1", "a.toml has unknown keys: vary"),
        ("a.toml", 'config = "b.toml"', "a.toml has unknown keys: config"),
        ("a.toml", "seed = 1.5", "a.toml's seed = 1.5 is not supported; accepted: a whole number"),
        ("a.toml", "guidance_scale = nan", "guidance_scale = nan is not supported; accepted: a finite number"),
        ("a.toml", "photos = 5", "photos = 5 is not supported; accepted: a path as text"),
        ("a.toml", 'initial = "noise"', "initial = 'noise' is not supported; accepted: 'shuffle', 'gaussian'"),
    ],
)
def test_unusable_settings(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        record.read_settings(write(tmp_path / name, content), Vary)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.toml").write_bytes('prompt = "häuser"'.encode("latin-1"))
    reasons = {"none.toml": "cannot be read: No such", ".": "cannot be read: Is a dir", "latin.toml": "not valid TOML"}
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason):
            record.read_settings(tmp_path / name, Vary)


@pytest.mark.parametrize("photos", [5, [5], [{}], [{"path": "a.png"}], [{"path": 5, "sha256": ""}]])
def test_a_record_without_digests(tmp_path, photos):
    with pytest.raises(InputError, match="does not say path and sha256 of its photos"):
        record.check_unchanged(write(tmp_path / "run.json", {"photos": photos}), "photos")


@pytest.fixture
def run(pipe, monkeypatch, checkpoint):
    """`rival vary` of four steps with the tests' model."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)

    def run(*arguments):
        result = rival("vary", "--model", checkpoint, *arguments)
        assert result.code == 0, result.err
        return result

    return run


@pytest.fixture
def first(run, tmp_path):
    """The record of a run that sets nearly everything; its shapes are those of other tests, to compile once."""
    photos = save_photo(tmp_path / "a.png"), save_photo(tmp_path / "b.png", 1)
    flags = {
        "--num-variations": 2, "--num-inference-steps": 4, "--guidance-scale": 5.5, "--t-align": 700, "--t-early": 650,
        "--initial": "gaussian", "--source-prompt": "grass", "--negative-prompt": "blue", "--out": tmp_path / "first",
    }  # fmt: skip
    repeated = ["--prompt", "a red car", "--prompt", "a blue house", "--seed", 7, "--seed", 2**32 - 1]
    run(*photos, *repeated, *(part for flag in flags.items() for part in flag))
    return json.loads((tmp_path / "first" / "run.json").read_text())


def test_a_run_is_recorded_and_repeated_bit_for_bit(first, run, tmp_path, checkpoint):
    arguments = first["arguments"]
    expected = {
        "photos": [str(tmp_path / "a.png"), str(tmp_path / "b.png")], "prompt": ["a red car", "a blue house"],
        "num_variations": 2, "num_inference_steps": 4, "guidance_scale": 5.5, "t_align": 700, "t_early": 650,
        "initial": "gaussian", "source_prompt": ["grass"], "negative_prompt": ["blue"], "seed": [7, 2**32 - 1],
        "attention_start": 1000, "reference": "shared", "align": "latent", "timestep_convention": "target",
        "model": str(checkpoint), "dtype": "float32", "out": str(tmp_path / "first"), "height": 16, "width": 16,
        "cache_reference": False, "solver": "ddim", "fixed_point_steps": 0, "noise_level": 0, "strength": 1.0,
        "controlnet": [], "control_image": [], "controlnet_scale": [],
        "lora": [], "lora_scale": [1.0], "textual_inversion": [],
    }  # fmt: skip
    assert arguments == expected
    assert first["photos"] == [{"path": photo, "sha256": record.sha256(Path(photo))} for photo in arguments["photos"]]
    assert first["versions"] == record.versions() and first["command"] == "rival vary" and "cpu" in first["device"]
    assert set(first["seconds"]) == {"loading", "inversion", "generation", "decoding", "reconstruction"}
    assert min(first["seconds"].values()) >= 0 and len(first["reconstruction_psnr_db"]) == 2
    assert first["files"] == {"variations": [f"variation-000{n}.png" for n in (1, 2, 3, 4)], "sheet": "sheet.png"}

    before = {file.name: file.read_bytes() for file in (tmp_path / "first").iterdir()}
    run("--config", tmp_path / "first" / "run.json")
    after = {file.name: file.read_bytes() for file in (tmp_path / "first").iterdir()}
    again = [f"variation-000{n}.png" for n in (5, 6, 7, 8)] + ["sheet-0002.png", "run-0002.json"]
    assert sorted(after.keys() - before.keys()) == sorted(again)
    assert all(after[name] == content for name, content in before.items()), "an earlier file has changed"
    for old, new in zip(first["files"]["variations"] + ["sheet.png"], again[:-1], strict=True):
        assert after[old] == after[new]
    second = json.loads(after["run-0002.json"])
    assert (second["arguments"], second["photos"]) == (first["arguments"], first["photos"])
    assert second["files"] == {"variations": again[:4], "sheet": "sheet-0002.png"}

    variations = [np.asarray(Image.open(tmp_path / "first" / name)) for name in first["files"]["variations"]]
    assert all((a != b).any() for a, b in zip(variations, variations[1:], strict=False))


def test_a_photo_that_changed_or_vanished_stops_a_repetition(first, tmp_path):
    config, changed = tmp_path / "first" / "run.json", tmp_path / "b.png"
    before = sorted((tmp_path / "first").iterdir())
    save_photo(changed, 2)
    assert f"{changed} has changed since {config} was written" in (result := rival("vary", "--config", config)).err
    changed.unlink()
    assert f"{changed} cannot be read (No such file" in (again := rival("vary", "--config", config)).err
    assert result.code == again.code == 2 and sorted((tmp_path / "first").iterdir()) == before


def test_a_flag_wins_over_the_record(first, run, tmp_path):
    others = save_photo(tmp_path / "c.png", 3), save_photo(tmp_path / "d.png", 4)
    config = tmp_path / "first" / "run.json"
    run(*others, "--config", config, "--prompt", "a red car", "--seed", 3, "--out", tmp_path / "second")
    second = json.loads((tmp_path / "second" / "run.json").read_text())["arguments"]
    changed = {"photos": [*map(str, others)], "prompt": ["a red car"], "seed": [3], "out": str(tmp_path / "second")}
    assert second == first["arguments"] | changed
