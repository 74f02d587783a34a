"""The evidence's machinery on a model and a judge of random weights: rows, pairing, and going on after a stop."""

import inspect
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rival_jax import RivalPipeline
from rival_jax.evidence import experiment, reproduce
from rival_jax.evidence.exemplars import draw_exemplars
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.quality import inversion_psnr
from rival_jax.evidence.scores import MEASURES, measure
from rival_jax.evidence.settings import PAPER, TABLES, Setting
from rival_jax.evidence.store import Store
from rival_jax.evidence.tables import markdown, quality_markdown
from rival_jax.steps import silent
from rival_jax.training.colours import COLOURS
from rival_jax.training.world import ODD_GRADES

pytestmark = pytest.mark.filterwarnings("ignore:The prompt has")


class FlatJudge:
    """Looks at a picture's mean colour; likes every text alike."""

    def embed_images(self, images):
        means = np.asarray(images, float).reshape(len(images), -1, 3).mean(axis=1) + 1
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def embed_texts(self, texts):
        return np.full((len(texts), 3), 3**-0.5)


@pytest.fixture
def evidence(pipe, tmp_path):
    return Experiment.prepare(pipe, FlatJudge(), 3, 2, Store(tmp_path, ()))


def test_exemplars():
    """Every held-out grading by turns; a longer list begins with the shorter; captions tell no colour and no light."""
    pictures, captions = draw_exemplars(len(ODD_GRADES) + 1, 48)
    assert pictures.shape == (len(captions), 48, 48, 3) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures[:4], draw_exemplars(4, 48)[0])
    words = set(" ".join(draw_exemplars(64, 16)[1]).split())
    assert not words & (set(COLOURS) | {"sunset", "night", "sky", "bright"})


def test_tables_are_the_paper_s():
    assert [len(TABLES[name]) for name in ("3", "4", "5")] == [11, 7, 5]
    for name, table in TABLES.items():
        names = [setting.name for setting in table]
        assert len(set(names)) == len(names) and {setting.against or names[0] for setting in table} <= set(names)
        assert all((setting.paper is None) == (name == "variants") for setting in table)


def test_measures():
    exemplars = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 100)])
    images = np.stack([np.stack([exemplars[0], exemplars[0]]), np.stack([exemplars[1], 2 * exemplars[1]])])
    scores = measure(FlatJudge(), exemplars, ("a", "b"), images)
    assert tuple(scores) == MEASURES
    assert [values.shape for values in scores.values()] == [(2,)] * 5 + [()]
    np.testing.assert_allclose(scores["palette"], [0, 0.5 * 30 * 100 / 255])
    np.testing.assert_allclose(scores["image"], 1)
    np.testing.assert_allclose(scores["blown"], 0)  # the first exemplar is black itself
    white = np.full_like(images, 255)
    np.testing.assert_allclose(measure(FlatJudge(), exemplars, ("a", "b"), white)["blown"], [0, 1])
    assert np.isnan(measure(FlatJudge(), exemplars, ("a", "b"), images[:, :1])["diversity"]).all()
    np.testing.assert_allclose(scores["diversity"], 0, atol=1e-9)


def test_a_setting_is_measured_once(evidence, tmp_path, monkeypatch):
    """And read from the folder by the next run, bit for bit."""
    quick = Setting("quick", {"align": "none"}, num_inference_steps=2)
    first = evidence.scores(quick)
    assert first["palette"].shape == (3,) and json.loads(next(tmp_path.glob("*.json")).read_text())["name"] == "quick"
    monkeypatch.setattr(Experiment, "images", None)
    again = evidence.scores(quick)
    assert all((first[name] == again[name]).all() for name in MEASURES)
    with pytest.raises(TypeError):
        evidence.scores(Setting("quick", {"align": "none"}, num_inference_steps=3))


def test_rows_are_paired(evidence, monkeypatch):
    """An exemplar's pictures follow from its own number, not from who runs with it."""
    quick = Setting("quick", num_inference_steps=2)
    together = evidence.images(quick).astype(int)
    monkeypatch.setattr(experiment, "_TOGETHER", 2)
    evidence._chains.clear()
    np.testing.assert_allclose(evidence.images(quick), together, atol=1)
    assert (together[0] != together[1]).any()


def test_what_vary_defaults_to_does_not_matter():
    """A row says every argument of `vary` that is not about the exemplars or the chain."""
    arguments = set(inspect.signature(RivalPipeline.vary).parameters)
    elsewhere = {"self", "images_or_chain", "prompt", "source_prompt", "num_variations", "num_inference_steps", "seed"}
    assert set(PAPER) == arguments - elsewhere - {
        "timestep_convention",
        "cache_reference",
        "height",
        "width",
        "progress",
        "watch",
        "solver",
        "fixed_point_steps",
        "controlnet",
        "control_image",
        "controlnet_scale",
        "noise_level",
        "strength",
    }


def test_what_invert_defaults_to_does_not_matter(evidence, pipe, monkeypatch):
    """Tables, figures and the model's own figures are of the paper's 50 steps."""
    asked = []

    class Enough(Exception):
        pass

    def invert(self, images, source_prompt, num_inference_steps=None, *_, **__):
        asked.append(num_inference_steps)
        raise Enough

    monkeypatch.setattr(RivalPipeline, "invert", invert)
    for measured in (
        lambda: evidence.images(Setting("any")),
        lambda: reproduce._draw(evidence, silent),
        lambda: inversion_psnr(pipe, evidence.exemplars, evidence.captions),
    ):
        with pytest.raises(Enough):
            measured()
    assert asked == [50, 50, 50]


def test_other_steps_are_another_question(evidence, monkeypatch):
    """Curves that were kept of one number of steps are not drawn for another."""
    drawn = []

    def invert(self, images, source_prompt, num_inference_steps):
        return SimpleNamespace(pixels=images, num_inference_steps=num_inference_steps)

    monkeypatch.setattr(RivalPipeline, "invert", invert)
    monkeypatch.setattr(reproduce, "guidance_sheet", lambda *_: Image.new("RGB", (1, 1)))
    monkeypatch.setattr(reproduce, "divergence_charts", lambda *_: Image.new("RGB", (1, 1)))
    monkeypatch.setattr(reproduce, "divergence_curves", lambda pipe, chain, _: drawn.append(chain.num_inference_steps))
    for steps in (30, 50, 30):
        monkeypatch.setattr(reproduce, "PAPER_STEPS", steps)
        reproduce._draw(evidence, silent)
    assert drawn == [30, 50]


def test_settings_share_their_chain(evidence):
    a, b, empty = (Setting("", {}, num_inference_steps=2, source=source) for source in ("caption", "caption", "empty"))
    assert evidence._chain(a.chain, 0) is evidence._chain(b.chain, 0)
    assert evidence._chain(empty.chain, 0).source_prompt == ("", "", "")
    assert evidence._chain(a.chain, 0).source_prompt == evidence.captions


def test_markdown():
    """Each row against the one it names, or the first; no interval of a few exemplars, none of one number."""
    settings = Setting("base", paper=(1.0, 0.2, 0.8)), Setting("other"), Setting("third", against="other")
    values = {name: np.arange(6.0) for name in MEASURES} | {"KID x 1000": np.asarray(7.0)}
    shifted = [{name: row + shift for name, row in values.items()} for shift in (0, 1, 0)]
    lines = markdown(settings, dict(zip(("base", "other", "third"), shifted, strict=True))).splitlines()
    assert lines[2].startswith("| base | - | 1.000 / 0.200 / 0.800 | 2.500 |") and lines[2].endswith("| 7.000 |")
    assert lines[3].startswith("| other | base | - | 3.500 [+1.000, +1.000]* |") and lines[3].endswith("| 8.000 |")
    assert lines[4].startswith("| third | other | - | 2.500 [-1.000, -1.000]* |")
    few = [{name: row[:4] if row.ndim else row for name, row in results.items()} for results in shifted]
    assert "[" not in markdown(settings[:2], {"base": few[0], "other": few[1]}).splitlines()[3]


def test_the_headline():
    """Of the two rows that the paper's abstract compares."""
    rows = {
        name: {measure: np.full(6, value) for measure in MEASURES} for name, value in (("baseline", 4.0), ("full", 1.0))
    }
    assert "full / baseline: 0.25 (paper 0.46)" in markdown((Setting("baseline"), Setting("full")), rows)


def test_quality_markdown():
    """What is wanted stands beside what was measured, each in its unit."""
    lines = quality_markdown({"VAE, world": 27.04, "object recognised, made": 0.85, "KID x 1000": 12.34}).splitlines()
    assert lines[2:] == [
        "| VAE, world | at least 27.0 | 27.0 |",
        "| object recognised, made | at least 85.0% | 85.0% |",
        "| KID x 1000 | - | 12.3 |",
    ]


def test_other_weights_are_other_results(tmp_path):
    """A store computes once for each question and set of weights, by whatever name and path."""
    weights, folder = tmp_path / "weights", tmp_path / "results"
    weights.mkdir()
    folder.mkdir()
    (weights / "model.safetensors").write_bytes(b"1")
    store, calls = Store(folder, (weights,)), []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    assert [store.kept("a", 1, compute), store.kept("b", 1, compute), store.kept("a", 2, compute)] == [1, 1, 2]
    (weights / "model.msgpack").write_bytes(b"22")
    assert store.kept("a", 1, compute) == 3 and len(list(folder.iterdir())) == 3
    assert Store(folder, (weights / ".." / "weights",)).kept("a", 1, compute) == 3
    assert Store(folder, (folder,)).kept("a", 1, compute) == 4
