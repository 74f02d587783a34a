"""`rival compare`: the sheet, the table, the record, and what it refuses."""

import json

import numpy as np
import pytest
from command import rival, save_photo
from PIL import Image

from rival_jax import RivalPipeline
from rival_jax.baselines.methods import METHODS
from rival_jax.baselines.run import sheet
from rival_jax.baselines.table import MEASURES, markdown


@pytest.fixture
def use_pipe(pipe, monkeypatch):
    """The command takes the tests' model, loaded and compiled once."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)


def test_two_photos(use_pipe, tmp_path):
    photos = [save_photo(tmp_path / f"{seed}.png", seed, (16, 16)) for seed in (0, 1)]
    result = rival("compare", *photos, "--prompt", "a red car", "-n", 2, "--num-inference-steps", 4)
    assert result.code == 0, result.err
    assert result.err.splitlines()[-1] == "out has compare-0001.png, compare-0002.png, table.md, run.json."
    lines = result.out.strip().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:-2]] == list(METHODS)
    assert (tmp_path / "out/table.md").read_text().strip() == result.out.strip()
    record = json.loads((tmp_path / "out/run.json").read_text())
    scores = record["scores"]
    assert record["seconds"].keys() == {"loading", "inversion", *METHODS}
    means = [f"{np.mean(scores['RIVAL'][key]):.3f}" for key in ("palette", "text", "image", "diversity")]
    assert lines[2] == f"| RIVAL | {' | '.join(means)} |"
    assert lines[2 + list(METHODS).index("MasaCtrl")].endswith("| - |")
    assert "[" not in result.out  # of two photos there are no intervals
    with Image.open(tmp_path / "out/compare-0001.png") as picture:
        assert picture.size[1] > len(METHODS) * 192


@pytest.mark.slow
def test_the_sample(use_pipe, tmp_path):
    """Without a photo; and one alone is measured without a warning."""
    result = rival("compare", "-n", 2, "--num-inference-steps", 2)
    assert result.code == 0, result.err
    assert "No photo was given: the sample butterfly-red-room.png is varied." in result.err
    assert "warning: invalid" not in result.err
    assert json.loads((tmp_path / "out/run.json").read_text())["arguments"]["prompt"] == ["a butterfly"]


def test_the_table():
    """Intervals are of paired differences to the first row, from five exemplars on; where it is beaten there is a *."""
    base = {key: np.arange(5.0) for key in MEASURES}
    worse, better = ({key: base[key] + side * sign for key, (_, sign) in MEASURES.items()} for side in (-1, 1))
    one_picture = base | {"diversity": np.full(5, np.nan)}
    results = {"ours": base, "worse": worse, "better": better, "alone": one_picture}
    rows = [line.strip("| ").split(" | ") for line in markdown(results).splitlines()[2:6]]
    assert rows[0] == ["ours", *["2.000"] * 4]
    assert rows[1] == ["worse", "3.000 [+1.000, +1.000]", *["1.000 [-1.000, -1.000]"] * 3]
    assert rows[2] == ["better", "1.000 [-1.000, -1.000]*", *["3.000 [+1.000, +1.000]*"] * 3]
    assert rows[3][-1] == "-"
    few = {name: {key: values[:4] for key, values in own.items()} for name, own in results.items()}
    assert "[" not in markdown(few)


def test_the_sheet():
    """One row a method; a method of one picture leaves the rest white."""
    exemplar = np.full((48, 48, 3), 9, np.uint8)
    drawn = {"one": np.full((2, 1, 48, 48, 3), 50, np.uint8), "three": np.full((2, 3, 48, 48, 3), 90, np.uint8)}
    pixels = np.asarray(sheet(exemplar, drawn, 1))
    seen = [pixels[28 + 100 + row * 198, 110 + 100 + column * 198, 0] for row in (0, 1) for column in range(4)]
    assert seen == [9, 50, 255, 255, 9, 90, 90, 90]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("a.png",), "prompt is missing: say what the variations show."),
        (("b.png", "--prompt", "a car"), "b.png cannot be read"),
        (("a.png", "--prompt", "a", "--prompt", "b"), "prompt has 2 entries"),
        (("a.png", "--prompt", "a", "-n", 0), "num_variations is 0"),
        (("a.png", "--prompt", "a", "--guidance-scale", "nan"), "guidance_scale is nan"),
        (("a.png", "--prompt", "a", "--seed", -1), "seed is -1"),
        (("a.png", "--prompt", "a", "--clip", "nowhere"), "nowhere is not a directory"),
    ],
)
def test_bad_input(use_pipe, tmp_path, flags, sentence):
    save_photo(tmp_path / "a.png", 0, (16, 16))
    result = rival("compare", *flags)
    assert result.code == 2 and sentence in result.err.splitlines()[-1]
