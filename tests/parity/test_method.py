"""The whole method from pictures and prompts to latents and pictures, against the torch reference on random weights.

`pytest -m parity tests/parity/test_method.py -s` prints the errors that are reached.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from rival_jax import RivalPipeline
from rival_jax.evidence.settings import PAPER

from .checkpoints import write_checkpoint
from .comparison import relative
from .oracle import Oracle

LIMIT = 1e-4
STEPS, EXEMPLARS, VARIATIONS = 10, 2, 3
SOURCES = ["a red house", "the grass"]
PROMPTS = ["a red house", "two blue balls on the grass"]
NEGATIVE = "monochrome"
SEEDS = [3, 2**32 - 1]

Directory = Callable[[str], Path]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    return cache(lambda kind: write_checkpoint(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture(scope="module")
def load(directory: Directory) -> Callable[[str, str], tuple[RivalPipeline, Oracle]]:
    """The pipeline and the oracle of a kind of checkpoint, in a dtype."""
    return cache(
        lambda kind, dtype: (
            RivalPipeline.from_pretrained(directory(kind), dtype),
            Oracle.load(directory(kind), getattr(torch, dtype)),
        )
    )


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Smooth pictures with some noise."""
    draw = np.random.default_rng(0)
    coarse = draw.uniform(0, 255, (EXEMPLARS, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse + draw.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)


def ours(pipeline: RivalPipeline, pixels: np.ndarray, convention: str = "target", **options):
    """The chain and the variations of the pipeline."""
    chain = pipeline.invert(list(pixels), SOURCES, STEPS, convention)
    options = PAPER | {"negative_prompt": NEGATIVE, "num_variations": VARIATIONS, "seed": SEEDS} | options
    return chain, pipeline.vary(chain, PROMPTS, **options)


def theirs(oracle: Oracle, pixels: np.ndarray, convention: str = "target", **options) -> tuple[np.ndarray, np.ndarray]:
    """The chain and the final latents of the reference."""
    chain = oracle.invert(pixels, SOURCES, STEPS, convention)
    return chain, oracle.vary(chain, SOURCES, PROMPTS, NEGATIVE, SEEDS, VARIATIONS, **options)


SCENARIOS = [
    ("sd1_like", "variation", {}),
    ("sd1_like", "editing", {"initial": "inverted", "attention_start": 900, "t_align": 601, "t_early": 601}),
    ("sd1_like", "paired reference", {"reference": "paired"}),
    ("sd1_like", "current convention", {"convention": "current", "guidance_scale": 5.0}),
    ("sd1_like", "gaussian start", {"initial": "gaussian"}),
    ("sd1_like", "random start", {"initial": "random"}),
    ("sd2_like", "v-prediction", {}),
    ("sd2_like", "latent alignment", {"align": "latent"}),
]
"""The editing boundaries lie on a timestep. Latent alignment takes the second network because the first, being random,
magnifies rounding a hundredfold there: torch in float32 is 1e-4 from torch in float64."""


_QUICK = ("variation",)
"""The others are shown on smaller networks by the tests of applications and of kinds, and by the goldens."""


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [pytest.param(*one, id=one[1], marks=[pytest.mark.slow] * (one[1] not in _QUICK)) for one in SCENARIOS],
)
def test_agrees_with_the_reference(load, pixels: np.ndarray, kind: str, name: str, options: dict) -> None:
    pipeline, oracle = load(kind, "float32")
    chain, variations = ours(pipeline, pixels, **options)
    expected_chain, expected = theirs(oracle, pixels, **options)
    chain_error, error = relative(chain.latents, expected_chain), relative(variations.latents, expected)
    print(f"\n{kind} {name}: chain {chain_error:.1e}, latents {error:.1e}")
    assert chain.latents.shape == expected_chain.shape == (STEPS + 1, EXEMPLARS, 16, 16, 4)
    assert variations.latents.shape == expected.shape == (EXEMPLARS, VARIATIONS, 16, 16, 4)
    assert chain_error <= LIMIT
    assert error <= LIMIT
    pictures = oracle.pictures(expected)
    assert np.abs(variations.images.astype(int) - pictures.astype(int)).max() <= 1
    assert pictures.std() > 20


@pytest.mark.slow
def test_bfloat16_is_as_close_as_torch(load, pixels: np.ndarray) -> None:
    exact = theirs(load("sd1_like", "float32")[1], pixels)
    pipeline, oracle = load("sd1_like", "bfloat16")
    chain, variations = ours(pipeline, pixels)
    for what, got, torch_got, expected in zip(
        ("chain", "latents"), (chain.latents, variations.latents), theirs(oracle, pixels), exact, strict=True
    ):
        error, torch_error = relative(got, expected), relative(torch_got, expected)
        print(f"\nbfloat16 {what}: {error:.1e}, torch {torch_error:.1e}")
        assert got.dtype == np.float32
        assert error <= 2 * torch_error
