"""Interpolation on random weights, SD-like and SDXL-like, against AID in plain torch, one step and ten.

`pytest -m parity tests/parity/test_interpolation.py -s` prints the errors.
"""

from collections.abc import Callable
from functools import cache

import jax
import numpy as np
import pytest
import torch

from rival_jax import RivalPipeline

from . import interpolation, other_kinds
from .checkpoints import write_checkpoint
from .comparison import nchw, nhwc, relative
from .oracle import Oracle
from .reference import Told

LIMIT = 1e-4
SIZE, SEEDS, T = (32, 48), [3, 11], [0.0, 0.2, 0.45, 0.8, 1.0]
STARTS, ENDS = ["a red house", "two blue balls"], ["a green car on the grass", "a yellow boat"]
GUIDE, NEGATIVE, GUIDANCE = ["a house in a car", "balls in a boat"], "monochrome", 5.0

Tell = Callable[[str], Told]
Load = Callable[[str], tuple[RivalPipeline, torch.nn.Module, dict, Tell]]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """The pipeline; the UNet, the scheduler's config and what networks are told, by torch."""

    @cache
    def loaded(name: str):
        folder = tmp_path_factory.mktemp(name)
        if name == "sdxl":
            kind, picture = other_kinds.sdxl(folder), np.zeros((*SIZE, 3), np.uint8)
            pipe = RivalPipeline.from_pretrained(kind.directory, "float32")
            return pipe, kind.pipe.unet, dict(kind.pipe.scheduler.config), lambda prompt: kind.tell(prompt, picture)
        directory = write_checkpoint("sd2_like", folder, small=True)
        oracle = Oracle.load(directory)
        pipe = RivalPipeline.from_pretrained(directory, "float32")
        return pipe, oracle.unet, oracle.scheduler_config, lambda prompt: Told(oracle.embed(prompt))

    return loaded


def expected(load: Load, name: str, steps: int, warmup: int, guides: list | None = None, **options) -> np.ndarray:
    """Final latents (E, n, h, w, c)."""
    pipe, unet, scheduler, tell = load(name)
    made = []
    for pair, (start, end, seed) in enumerate(zip(STARTS, ENDS, SEEDS, strict=True)):
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), 0)
        h, w, c = pipe.latent_shape(*SIZE)
        noise = nchw(np.asarray(jax.random.normal(key, (h * w, c))).reshape(h, w, c))
        guide = None if guides is None else tell(guides[pair])
        told = tell(start), tell(end), tell(NEGATIVE)
        levels = interpolation.interpolate(
            unet, (noise, noise), *told, T, scheduler, steps, warmup=warmup, guidance_scale=GUIDANCE, guide=guide,
            **options,
        )  # fmt: skip
        made.append(nhwc(levels[0]))
    return np.stack(made)


CASES = [(kind, fused) for kind in ("outer", "inner") for fused in (True, False)]


@pytest.mark.parametrize("name", ["sd", "sdxl"])
@pytest.mark.parametrize(("kind", "fused"), CASES, ids=[f"{'fused' if f else 'pure'}-{k}" for k, f in CASES])
@pytest.mark.parametrize(("steps", "ratio", "warmup"), [(1, 1.0, 1), (10, 0.5, 5)])
def test_prompts(load: Load, name: str, kind: str, fused: bool, steps: int, ratio: float, warmup: int) -> None:
    settings = {"kind": kind, "fused": fused}
    theirs = expected(load, name, steps, warmup, **settings)
    out = load(name)[0].interpolate(
        STARTS, ENDS, len(T), negative_prompt=NEGATIVE, num_inference_steps=steps, guidance_scale=GUIDANCE,
        warmup_ratio=ratio, coefficients=T, seed=SEEDS, height=SIZE[0], width=SIZE[1], **settings,
    )  # fmt: skip
    check(f"{name} {settings}, {steps} steps", out.latents, theirs)


@pytest.mark.parametrize("name", ["sd", "sdxl"])
def test_guided(load: Load, name: str) -> None:
    """PAID: the frames between have a prompt of their own."""
    theirs = expected(load, name, 10, 10, GUIDE)
    out = load(name)[0].interpolate(
        STARTS, ENDS, len(T), GUIDE, NEGATIVE, num_inference_steps=10, guidance_scale=GUIDANCE, warmup_ratio=1.0,
        coefficients=T, seed=SEEDS, height=SIZE[0], width=SIZE[1],
    )  # fmt: skip
    check(f"{name} guided", out.latents, theirs)


def check(name: str, ours, theirs: np.ndarray) -> None:
    error = relative(ours, theirs)
    print(f"\n{name}: {error:.1e}")
    assert ours.shape == theirs.shape
    assert error <= LIMIT
