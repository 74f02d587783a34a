"""Interpolation on random weights, SD-like and SDXL-like, against AID in plain torch, one step and ten.

`pytest -m parity tests/parity/test_interpolation.py -s` prints the errors.
"""

import copy
from collections.abc import Callable
from functools import cache
from itertools import product

import jax
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rival_jax import RivalPipeline
from rival_jax.ip_adapter import IPAdapter

from . import interpolation, other_kinds
from .checkpoints import write_checkpoint
from .comparison import nchw, nhwc, relative
from .oracle import Oracle
from .reference import Told
from .test_ip_adapter import adapter, encoder  # noqa: F401 (a fixture)

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


def case(name: str, kind: str, fused: bool, steps: int):
    """Quick are ten steps, five of which mix, with SD, of the default."""
    is_quick = (name, steps, kind, fused) == ("sd", 10, "outer", True)
    label = f"{name}-{'fused' if fused else 'pure'}-{kind}-{steps}"
    return pytest.param(name, kind, fused, steps, id=label, marks=[] if is_quick else pytest.mark.slow)


CASES = [case(*of) for of in product(("sd", "sdxl"), ("outer", "inner"), (True, False), (1, 10))]


@pytest.mark.parametrize(("name", "kind", "fused", "steps"), CASES)
def test_prompts(load: Load, name: str, kind: str, fused: bool, steps: int) -> None:
    settings, warmup = {"kind": kind, "fused": fused}, -(-steps // 2)
    theirs = expected(load, name, steps, warmup, **settings)
    out = load(name)[0].interpolate(
        STARTS, ENDS, len(T), negative_prompt=NEGATIVE, num_inference_steps=steps, guidance_scale=GUIDANCE,
        warmup_ratio=warmup / steps, coefficients=T, seed=SEEDS, height=SIZE[0], width=SIZE[1], **settings,
    )  # fmt: skip
    check(f"{name} {settings}, {steps} steps", out.latents, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd", "sdxl"])
def test_guided(load: Load, name: str) -> None:
    """PAID: the frames between have a prompt of their own."""
    theirs = expected(load, name, 10, 10, GUIDE)
    out = load(name)[0].interpolate(
        STARTS, ENDS, len(T), GUIDE, NEGATIVE, num_inference_steps=10, guidance_scale=GUIDANCE, warmup_ratio=1.0,
        coefficients=T, seed=SEEDS, height=SIZE[0], width=SIZE[1],
    )  # fmt: skip
    check(f"{name} guided", out.latents, theirs)


@pytest.fixture(scope="module", params=["global", "plus"])
def shown(request: pytest.FixtureRequest, load: Load, encoder, tmp_path_factory: pytest.TempPathFactory) -> tuple:  # noqa: F811
    """An IP-Adapter of the pipeline's model, and a function that makes what the oracle is shown."""
    pipe, unet, _, _ = load("sd")
    groups = adapter(request.param, unet)
    flat = {f"{group}.{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
    save_file(flat, file := tmp_path_factory.mktemp(request.param) / "adapter.safetensors")
    ours = IPAdapter.from_pretrained(file, pipe.unet.config, encoder[1], "float32")
    projecting = copy.deepcopy(unet)
    projecting._load_ip_adapter_weights([groups], low_cpu_mem_usage=False)
    [layer] = projecting.encoder_hid_proj.image_projection_layers

    def seen(start: np.ndarray | None, end: np.ndarray, scale: float | None) -> interpolation.Shown:
        nothing = ours.see_nothing()
        three = nothing if start is None else ours.see(start[None]), ours.see(end[None]), nothing
        return interpolation.Shown(torch.from_numpy(np.concatenate(three)), layer, flat, scale)

    return ours, seen


@pytest.mark.slow
@pytest.mark.parametrize("case", ["morph", "scale control", "from nothing"])
@torch.no_grad()
def test_pictures_as_conditions(load: Load, shown: tuple, case: str) -> None:
    pipe, (ours, seen) = load("sd")[0], shown
    start, end = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    first = start if case == "morph" else None
    scale = None if case == "scale control" else 0.7
    theirs = expected(load, "sd", 10, 5, shown=seen(first, end, scale))
    options = {"scale_control": True} if scale is None else {"ip_adapter_scale": scale}
    out = pipe.interpolate(
        STARTS, ENDS, len(T), negative_prompt=NEGATIVE, num_inference_steps=10, guidance_scale=GUIDANCE,
        warmup_ratio=0.5, coefficients=T, seed=SEEDS, height=SIZE[0], width=SIZE[1],
        ip_adapter=ours, image_start=first, image_end=end, **options,
    )  # fmt: skip
    check(f"{case}, {len(ours.config.layers)} layers", out.latents, theirs)


def check(name: str, ours, theirs: np.ndarray) -> None:
    error = relative(ours, theirs)
    print(f"\n{name}: {error:.1e}")
    assert ours.shape == theirs.shape
    assert error <= LIMIT
