"""Concepts to learn: four pictures of one thing, and whether it is drawn afterwards."""

from types import SimpleNamespace

import numpy as np
import pytest

from rival_jax import RivalPipeline
from rival_jax.evidence import concepts
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.store import Store
from rival_jax.metrics.judge import Judge
from rival_jax.metrics.recogniser import Recogniser
from rival_jax.steps import silent


def test_a_concept():
    """Four pictures of one thing in one colour, as a network sees it that has never seen them."""
    recogniser = Recogniser.from_pretrained()
    for number in range(4):
        pictures, thing, colour = concepts.concept(number, 48)
        assert pictures.shape == (4, 48, 48, 3) and len(np.unique(pictures, axis=0)) == 4
        things, colours = recogniser(pictures)
        assert np.mean(things == thing) >= 0.75 and np.mean(colours == colour) >= 0.75
        np.testing.assert_array_equal(pictures, concepts.concept(number, 48)[0])


def test_the_table():
    """Differences are paired: what all concepts gain alike has no spread."""
    before = np.array([0.1, 0.5, 0.9])
    results = {"learnt": {"thing": before + 0.25}, "unlearnt": {"thing": before}}
    assert concepts.concepts_markdown(results).splitlines()[2] == "| thing | 0.750 | 0.500 | [+0.250, +0.250] |"


@pytest.mark.slow
def test_a_learnt_concept_is_drawn(tmp_path, monkeypatch):
    """Two of the concepts that `rival reproduce concepts` learns; a second run reads what was measured."""
    monkeypatch.setattr(concepts, "_CONCEPTS", 2)
    pipe = RivalPipeline.from_pretrained("tiny", "float32")
    experiment = Experiment.prepare(pipe, Judge.from_pretrained(), 8, 1, Store(tmp_path, ()))
    results = concepts.concepts(experiment, silent)
    for measure in ("alignment", "thing"):
        assert (results["learnt"][measure] > results["unlearnt"][measure]).all()
    monkeypatch.setattr(concepts, "TextualInversion", SimpleNamespace())  # nothing is learnt again
    np.testing.assert_array_equal(concepts.concepts(experiment, silent)["learnt"]["thing"], results["learnt"]["thing"])
