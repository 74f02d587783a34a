"""The evidence's machinery on a model and a judge of random weights: rows, pairing, and going on after a stop."""

import json

import numpy as np
import pytest

from rival_jax.evidence import reproduce
from rival_jax.evidence.exemplars import draw_exemplars
from rival_jax.evidence.reproduce import Evidence
from rival_jax.evidence.scores import MEASURES, measure
from rival_jax.evidence.settings import TABLES, Setting
from rival_jax.evidence.store import Store
from rival_jax.evidence.tables import markdown, quality_markdown
from rival_jax.training.world import ODD_GRADES


class FlatJudge:
    """Looks at a picture's mean colour; likes every text alike."""

    def embed_images(self, images):
        means = np.asarray(images, float).reshape(len(images), -1, 3).mean(axis=1) + 1
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def embed_texts(self, texts):
        return np.full((len(texts), 3), 3**-0.5)


@pytest.fixture
def evidence(pipe, tmp_path):
    return Evidence.prepare(pipe, FlatJudge(), 3, 2, Store(tmp_path, ()))


def test_exemplars():
    """Every held-out grading by turns; a longer list begins with the shorter; captions tell no colour."""
    pictures, captions = draw_exemplars(len(ODD_GRADES) + 1, 48)
    assert pictures.shape == (len(captions), 48, 48, 3) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures[:4], draw_exemplars(4, 48)[0])
    assert not {"red", "green", "blue", "yellow", "white", "black"} & set(" ".join(captions).split())


def test_tables_are_the_paper_s():
    assert [len(TABLES[name]) for name in ("3", "4", "5")] == [11, 7, 5]
    for name, table in TABLES.items():
        names = [setting.name for setting in table]
        assert len(set(names)) == len(names) and reproduce._BASE[name] in names
        assert all((setting.paper is None) == (name == "variants") for setting in table)


def test_measures():
    exemplars = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 100)])
    images = np.stack([np.stack([exemplars[0], exemplars[0]]), np.stack([exemplars[1], 2 * exemplars[1]])])
    scores = measure(FlatJudge(), exemplars, ("a", "b"), images)
    assert tuple(scores) == MEASURES and all(values.shape == (2,) for values in scores.values())
    np.testing.assert_allclose(scores["palette"], [0, 0.5 * 30 * 100 / 255])
    np.testing.assert_allclose(scores["image"], 1)
    np.testing.assert_allclose(scores["blown"], [1, 0])
    np.testing.assert_allclose(scores["diversity"], 0, atol=1e-9)


def test_a_setting_is_measured_once(evidence, tmp_path, monkeypatch):
    """And read from the folder by the next run, bit for bit."""
    quick = Setting("quick", {"align": "none"}, num_inference_steps=2)
    first = evidence.scores(quick)
    assert first["palette"].shape == (3,) and json.loads(next(tmp_path.glob("*.json")).read_text())["name"] == "quick"
    monkeypatch.setattr(Evidence, "images", None)
    again = evidence.scores(quick)
    assert all((first[name] == again[name]).all() for name in MEASURES)
    with pytest.raises(TypeError):
        evidence.scores(Setting("quick", {"align": "none"}, num_inference_steps=3))


def test_settings_share_their_chain(evidence):
    a, b, empty = (Setting("", {}, num_inference_steps=2, source=source) for source in ("caption", "caption", "empty"))
    assert evidence._chain(*a.chain, 0) is evidence._chain(*b.chain, 0)
    assert evidence._chain(*empty.chain, 0).source_prompt == ("", "", "")
    assert evidence._chain(*a.chain, 0).source_prompt == evidence.captions


def test_markdown():
    settings = Setting("base", paper=(1.0, 0.2, 0.8)), Setting("other")
    values = {name: np.arange(4.0) for name in MEASURES}
    results = {"base": values, "other": {name: row + 1 for name, row in values.items()}}
    lines = markdown(settings, results, "base").splitlines()
    assert len(lines) == 4 and lines[2].startswith("| base | 1.000 / 0.200 / 0.800 | 1.500 |")
    assert lines[3].startswith("| other | - | 2.500 [+1.000, +1.000]* |")


def test_quality_markdown():
    """What is wanted stands beside what was measured, each in its unit."""
    lines = quality_markdown({"VAE, world": 27.04, "object recognised, made": 0.85, "KID": 0.01234}).splitlines()
    assert lines[2:] == [
        "| VAE, world | at least 27.0 | 27.0 |",
        "| object recognised, made | at least 85.0% | 85.0% |",
        "| KID | - | 0.0123 |",
    ]


def test_other_weights_are_other_results(tmp_path):
    """A store computes once for each name, question and set of weights."""
    weights, folder = tmp_path / "weights", tmp_path / "results"
    weights.mkdir()
    folder.mkdir()
    (weights / "model.safetensors").write_bytes(b"1")
    store, calls = Store(folder, (weights,)), []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    assert [store.kept("a", 1, compute), store.kept("a", 1, compute), store.kept("a", 2, compute)] == [1, 1, 2]
    (weights / "model.safetensors").write_bytes(b"22")
    assert store.kept("a", 1, compute) == 3 and len(list(folder.iterdir())) == 3
