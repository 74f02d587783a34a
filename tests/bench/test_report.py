"""`rival bench` on the embedded model, as short as can be."""

import re

import pytest
from command import rival

from rival_jax.bench import report, versus
from rival_jax.bench.stages import Timing

SHORT = ("-n", 2, "--num-inference-steps", 2, "--repeats", 1)


@pytest.mark.slow
def test_a_report():
    result = rival("bench", *SHORT)
    assert result.code == 0, result.err
    assert "model tiny, 1 exemplars x 2 variations, 48 x 48 pixels, T = 2, float32" in result.out
    assert "TFLOP/s" in result.out and "jax" in result.out and "loading" in result.out
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([\d.e+-]+)", result.out, flags=re.MULTILINE))
    parts = ("inversion step", "replace step", "concat step", "VAE encode", "VAE decode", "end to end")
    assert {*parts, "the rest"} == set(rows) - {"part"} and all(float(rows[name]) > 0 for name in parts)
    shares = [int(share) for share in re.findall(r"\| (\d+)% \|$", result.out, flags=re.MULTILINE)]
    assert len(shares) == len(parts) and all(0 < share <= 130 for share in shares)
    inside = 2 * float(rows["inversion step"]) + 2 * float(rows["concat step"])  # both timesteps are below t_align
    rest = float(rows["VAE encode"]) + float(rows["VAE decode"]) + float(rows["the rest"])
    assert inside + rest == pytest.approx(float(rows["end to end"]), rel=0.01)
    [first] = re.findall(r"from its start to its pictures, ([\d.]+) s", result.out)
    assert float(first) > 1 and re.search(r"operations: 0\.\d+ of the authors' scheme's, 0\.\d+ with", result.out)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--repeats", 0), "repeats is 0"),
        (("--num-variations", 0), "num_variations is 0"),
        (("--height", 13), "height is 13"),
        (("--attention", "pallas"), "it is for TPUs"),
        (("--model", "nowhere"), "nowhere is not a directory"),
    ],
)
def test_bad_input(flags, sentence):
    result = rival("bench", *flags)
    assert result.code == 2 and sentence in result.err


def test_without_torch(monkeypatch):
    monkeypatch.setattr(versus, "find_spec", lambda name: None)
    result = rival("bench", "--against", "torch", *SHORT)
    assert result.code == 2 and "needs torch and diffusers; pip install 'rival-jax[parity]'" in result.err


def test_another_answer_is_no_result(monkeypatch):
    """What was measured of ours (here nothing really is) is printed all the same."""
    monkeypatch.setattr(report, "measure", lambda *_: {"end to end": Timing((1.0,), 10**9)})
    monkeypatch.setattr(report, "_starting", lambda *_: (1.0, 1.0))

    def disagree(*_):
        raise versus.Disagreement("In float32 the latents of torch (eager) and ours differ by 0.5.")

    monkeypatch.setattr(report, "check_torch", lambda: None)
    monkeypatch.setattr(report, "against_torch", disagree)
    result = rival("bench", "--against", "torch", *SHORT)
    assert result.code == 1 and "end to end" in result.out and "differ by 0.5" in result.out


@pytest.mark.parametrize("flags", [("--height", 13), ("--attention", "cudnn")])
def test_bad_input_writes_no_random_model(flags, monkeypatch):
    monkeypatch.setattr(report, "write_random", lambda *_: pytest.fail("written"))
    assert rival("bench", "--model", "sd15", *flags).code == 2


def test_random_models_are_written_once(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(report, "write_random", lambda folder, size: written.append((folder, size)) or folder)
    assert report._model("sd15", tmp_path) == tmp_path / "random" / "sd15" and written[0][1] == "sd15"
    assert report._model("tiny", tmp_path) == "tiny" and len(written) == 1
