"""The whole method against torch's numbers, without torch: `scripts/make_goldens.py` wrote them."""

import goldens
import numpy as np
import pytest

from rival_jax import RivalPipeline
from rival_jax.evidence.settings import PAPER

LIMIT = 1e-4


@pytest.fixture(scope="module")
def numbers():
    with np.load(goldens.FOLDER / "numbers.npz") as file:
        return dict(file)


def relative(ours, theirs):
    """Norm of the difference over norm of the reference."""
    return np.linalg.norm(np.asarray(ours, np.float64) - theirs) / np.linalg.norm(theirs)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "variation")) for n in goldens.RUNS])
def test_agrees_with_torch(name, numbers):
    kind, convention, options = goldens.RUNS[name]
    pipe = RivalPipeline.from_pretrained(goldens.FOLDER / kind, "float32")
    chain = pipe.invert(goldens.photos(), goldens.SOURCES, goldens.STEPS, convention)
    fixed = {"negative_prompt": goldens.NEGATIVE, "num_variations": goldens.VARIATIONS, "seed": goldens.SEEDS}
    out = pipe.vary(chain, goldens.PROMPTS, **(PAPER | fixed | options))
    assert relative(chain.latents, numbers[f"{name}/chain"]) <= LIMIT
    assert relative(out.latents, numbers[f"{name}/latents"]) <= LIMIT
    assert np.abs(out.images.astype(int) - numbers[f"{name}/images"]).max() <= 1
    assert out.images.std() > 20
