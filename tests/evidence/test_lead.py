"""The paper's claims on the embedded model, in miniature: the whole method, text to image, and the method in part."""

from dataclasses import replace

import pytest

from rival_jax import RivalPipeline
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.settings import TABLE_3
from rival_jax.evidence.store import Store
from rival_jax.metrics.judge import Judge
from rival_jax.metrics.statistics import interval

pytestmark = pytest.mark.slow

ROWS = {row.name: replace(row, num_inference_steps=20) for row in TABLE_3}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Every held-out grading once, two variations each, with the embedded model."""
    pipe = RivalPipeline.from_pretrained("tiny", "float32")
    store = Store(tmp_path_factory.mktemp("kept"), ())
    experiment = Experiment.prepare(pipe, Judge.from_pretrained(), 14, 2, store)
    return {name: experiment.scores(ROWS[name]) for name in ("baseline", "full", "w/o NA", "w/o LI", "w/o AI & AF")}


def difference(scores, measure, other):
    """The 95 % interval of full minus another row."""
    low, high = interval(scores["full"][measure] - scores[other][measure])
    print(f"{measure}, full - {other}: [{low:+.3f}, {high:+.3f}]")
    return low, high


def test_the_full_model_leads(scores):
    """Over text to image: at most 0.55 of its palette distance, a better image alignment beyond doubt."""
    ratio = scores["full"]["palette"].mean() / scores["baseline"]["palette"].mean()
    print(f"palette ratio {ratio:.2f}")
    assert ratio <= 0.55 and difference(scores, "image", "baseline")[0] > 0


@pytest.mark.parametrize("without", ["w/o NA", "w/o LI", "w/o AI & AF"])
def test_every_part_keeps_colours(scores, without):
    """Without noise alignment, the start from the chain's latents, or attention, the palette is farther away."""
    assert difference(scores, "palette", without)[1] < 0


def test_attention_keeps_the_picture(scores):
    """Without reading the exemplar its likeness is lost."""
    assert difference(scores, "image", "w/o AI & AF")[0] > 0
