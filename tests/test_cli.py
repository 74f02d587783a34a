"""The command: what it writes and says, where its arguments come from, and how it ends."""

import inspect
import io
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, fields

import numpy as np
import pytest
from command import rival, save_photo
from PIL import Image
from rich.console import Console

from rival_jax import RivalPipeline, __version__, outputs, samples
from rival_jax import run as run_module
from rival_jax.arguments import Bench, Info, Reproduce, Vary, Warmup
from rival_jax.demo.arguments import Demo
from rival_jax.progress import shown_on

SHORT = ("--num-inference-steps", 4, "-n", 2)
RIVAL = (sys.executable, "-m", "rival_jax.cli")


@pytest.fixture
def use_pipe(pipe, monkeypatch):
    """The command takes the tests' model, loaded and compiled once."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)


@pytest.fixture
def parsed(monkeypatch):
    """What the command would run, instead of running it."""
    seen = []

    def stand_in(args, progress, say):
        seen.append(args)
        return {"files": {"variations": [], "sheet": "sheet.png", "record": "run.json"}}

    monkeypatch.setattr(run_module, "run", stand_in)

    def parsed(*arguments):
        result = rival("vary", *arguments)
        assert result.code == 0, result.err
        return seen[-1]

    return parsed


def test_files_and_messages(use_pipe, pipe, tmp_path):
    """Names that a terminal or Rich would read as more than a name are only names."""
    photos = save_photo(tmp_path / "[red] ü\n🏠.png"), save_photo(tmp_path / ":smile:.jpg", 1)
    prompts = ("--prompt", "a [/red] car", "--prompt", "a blue house")
    result = rival("vary", *photos, *prompts, *SHORT, "--seed", 5, "--seed", 6, "--out", "[bold]\x1b")
    assert result.code == 0 and result.out == ""
    *progress, hint, last = result.err.splitlines()
    assert hint.endswith("for photographs name another with --model.")
    assert last == "[bold]\\x1b has 4 new variations, sheet.png and run.json."
    assert progress[:2] == ["loading 0/1", "loading 1/1"]
    assert {line.split()[0] for line in progress[2:]} == {"inversion", "generation", "reconstruction"}
    assert {line.split("/")[1] for line in progress[2:]} == {"4"} and "generation 4/4" in progress

    folder = tmp_path / "[bold]\x1b"
    names = [f"variation-000{n}.png" for n in (1, 2, 3, 4)]
    assert sorted(os.listdir(folder)) == sorted([*names, "sheet.png", "run.json"])
    expected = pipe.vary(
        list(photos), ["a [/red] car", "a blue house"], seed=[5, 6], num_variations=2, num_inference_steps=4
    )
    written = np.stack([np.asarray(Image.open(folder / name)) for name in names])
    np.testing.assert_array_equal(written, expected.images.reshape(written.shape))
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width > 4 * 192 and sheet.height > 2 * 192


def test_without_a_photo_a_sample_is_varied_and_said(parsed, tmp_path):
    path, caption = samples.default()
    assert (args := parsed()).photos == (path,) and args.prompt == (caption,)
    assert parsed("--prompt", "a blue car").prompt == ("a blue car",)
    assert f"No photo was given: the sample {path.name} is varied." in rival("vary").err
    (tmp_path / "a.toml").write_text('prompt = "a tree"')
    assert parsed("--config", "a.toml").prompt == ("a tree",)


def test_defaults_are_the_librarys(parsed):
    args = parsed("photo.jpg", "--prompt", "a car")
    assert asdict(args) == asdict(Vary()) | {"photos": args.photos, "prompt": ("a car",)}
    library = inspect.signature(RivalPipeline.vary).parameters
    for name in ("guidance_scale", "t_align", "t_early", "attention_start", "initial", "reference", "align"):
        assert getattr(args, name) == library[name].default, name
    assert args.num_inference_steps == inspect.signature(RivalPipeline.invert).parameters["num_inference_steps"].default


def test_default_then_file_then_flag(parsed, tmp_path):
    (tmp_path / "a.toml").write_text(
        'photos = ["x.png", "y.png"]\nprompt = ["a", "b"]\nseed = [1, 2]\nt_align = 300\nalign = "none"\n'
    )
    args = parsed("--config", "a.toml")
    assert ([str(photo) for photo in args.photos], args.prompt, args.seed) == (["x.png", "y.png"], ("a", "b"), (1, 2))
    assert (args.t_align, args.align, args.t_early, args.num_variations) == (300, "none", 300, 4)
    args = parsed("z.png", "--config", "a.toml", "--prompt", "c", "--t-align", 500, "--seed", 9, "-n", 1)
    assert ([str(photo) for photo in args.photos], args.prompt, args.seed) == (["z.png"], ("c",), (9,))
    assert (args.t_align, args.align, args.num_variations) == (500, "none", 1)
    assert parsed("--config", "a.toml", "--prompt", "c", "--prompt", "d").prompt == ("c", "d")


def test_empty_prompts_are_prompts(parsed):
    args = parsed("x.png", "--prompt", "", "--source-prompt", "", "--negative-prompt", "")
    assert args.prompt == args.source_prompt == args.negative_prompt == ("",)


def test_underscores_serve_as_hyphens(parsed):
    assert parsed("x.png", "--prompt", "a", "--guidance_scale", 3).guidance_scale == 3


@pytest.mark.parametrize(
    "command, schema",
    [("vary", Vary), ("info", Info), ("reproduce", Reproduce), ("warmup", Warmup), ("bench", Bench), ("demo", Demo)],
)
def test_help_explains_every_flag(command, schema):
    result = rival(command, "--help")
    assert result.code == 0 and result.err == ""
    text = re.sub(r"[\s│]+", " ", result.out)
    for field in fields(schema):
        if field.name not in ("photos", "model", "evidence"):
            assert f"--{field.name.replace('_', '-')}" in text
    assert "None" not in text and "rival vary photo.jpg --prompt" in rival("vary", "--help").out


def test_help_names_the_commands():
    result = rival("--help")
    assert result.code == 0 and "vary" in result.out and "info" in result.out


def test_version():
    result = rival("--version")
    assert (result.code, result.out, result.err) == (0, f"rival_jax {__version__}\n", "")


def test_progress_bars_in_a_terminal():
    stream = io.StringIO()
    with shown_on(Console(file=stream, force_terminal=True, width=80)) as progress:
        for done in (2, 4):
            progress("inversion", done, 4)
        progress("generation", 4, 4)
    assert "inversion" in stream.getvalue() and "4/4" in stream.getvalue() and "\x1b[" in stream.getvalue()


def test_a_warning_is_one_line(parsed, monkeypatch):
    def warn(args, progress, say):
        warnings.warn("cut off: '[red]'" + " house" * 50, stacklevel=1)
        return {"files": {"variations": [], "sheet": "", "record": ""}}

    monkeypatch.setattr(run_module, "run", warn)
    first = rival("vary", "x.png", "--prompt", "a").err.splitlines()[0]
    assert first == "warning: cut off: '[red]'" + " house" * 50


@pytest.mark.parametrize(
    "error, code, sentence",
    [
        (KeyboardInterrupt(), 130, "Interrupted; files already written are whole."),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 1, "Too little memory on the device"),
        (MemoryError(), 1, "Too little memory on the device"),
        (OSError(28, "No space left on device", "out/x.png"), 2, "out/x.png cannot be written or read: No space left"),
        (OSError("odd"), 2, "The disk cannot be written or read: odd."),
    ],
)
def test_endings(monkeypatch, error, code, sentence):
    def fail(args, progress, say):
        raise error

    monkeypatch.setattr(run_module, "run", fail)
    result = rival("vary", "x.png", "--prompt", "a")
    assert result.code == code and result.err.startswith(f"error: {sentence}") and result.err.count("\n") == 1


def test_our_own_errors_are_not_hidden(monkeypatch):
    def fail(args, progress, say):
        raise RuntimeError("a bug")

    monkeypatch.setattr(run_module, "run", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        rival("vary", "x.png", "--prompt", "a")


def test_interrupted_between_two_files(use_pipe, tmp_path, monkeypatch):
    photos = save_photo(tmp_path / "a.png"), save_photo(tmp_path / "b.png", 1)
    write, written = outputs.write_png, []

    def interrupted(folder, name, image):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(folder, name, image))
        return written[-1]

    monkeypatch.setattr(outputs, "write_png", interrupted)
    assert rival("vary", *photos, "--prompt", "a car", *SHORT, "--out", "out").code == 130
    assert sorted(os.listdir("out")) == ["variation-0001.png", "variation-0002.png"]
    for path in written:
        Image.open(path).load()


def test_control_c_in_a_process(checkpoint, tmp_path):
    photo = save_photo(tmp_path / "a.png")
    flags = ("vary", photo, "--prompt", "a car", "--model", checkpoint, "--num-inference-steps", "999", "--out", "out")
    heeding = "import gc; gc.disable(); "  # Python ignores what is raised in a callback of a collection; JAX has one
    heeding += "from signal import *; signal(SIGINT, default_int_handler); from rival_jax.cli import main; main()"
    command = [sys.executable, "-c", heeding, *map(str, flags)]  # a job in a shell's background would ignore SIGINT
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        first = next(line for line in process.stderr if not line.startswith("loading "))
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        rest = process.communicate(timeout=60)[1]
    assert first.startswith("inversion ") and "Traceback" not in rest
    assert rest.splitlines()[-1] == "error: Interrupted; files already written are whole."
    assert process.returncode == 130 and time.monotonic() - start < 60 and os.listdir("out") == []


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(checkpoint, tmp_path):
    """The whole command as a user runs it, and `--config run.json` in a later process."""
    photo = save_photo(tmp_path / "a.png")
    flags = ("--prompt", "a car", "--model", checkpoint, "--num-inference-steps", 2, "-n", 1, "--out", tmp_path / "out")
    for arguments in ((photo, *flags), ("--config", tmp_path / "out" / "run.json")):
        done = subprocess.run([*RIVAL, "vary", *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    out = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert len(out) == 6
    assert out["variation-0001.png"] == out["variation-0002.png"] and out["sheet.png"] == out["sheet-0002.png"]
