"""SDXL, SD image variations and Stable unCLIP, from pictures and prompts to latents, against the torch reference.

What networks are told is diffusers' own pipelines'. `pytest -m parity tests/parity/test_kinds.py -s` prints the errors.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from rival_jax import ControlNet, RivalPipeline
from rival_jax.conditioning import Shown
from rival_jax.images import load_controls
from rival_jax.masks import holes

from . import other_kinds, reference
from .checkpoints import randomise
from .comparison import nchw, nhwc, relative
from .oracle import Oracle
from .other_kinds import Kind

LIMIT, LAYER_LIMIT = 1e-4, 1e-5
STEPS, EXEMPLARS, VARIATIONS, SIZE = 10, 2, 2, (32, 48)
PROMPTS = ["a red house", "two blue balls on the grass"]
NEGATIVE, SEEDS = "monochrome", [3, 2**32 - 1]
KINDS = {"sdxl": other_kinds.sdxl, "image": other_kinds.image_variations, "unclip": other_kinds.unclip}

Load = Callable[[str], tuple[RivalPipeline, Kind]]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    @cache
    def loaded(name: str) -> tuple[RivalPipeline, Kind]:
        kind = KINDS[name](tmp_path_factory.mktemp(name))
        return RivalPipeline.from_pretrained(kind.directory, "float32"), kind

    return loaded


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Smooth pictures with some noise, wider than high."""
    draw = np.random.default_rng(0)
    coarse = draw.uniform(0, 255, (EXEMPLARS, 4, 6, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse + draw.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)


def prompts_for(name: str) -> dict:
    """What the applications are asked of each kind."""
    return {} if name == "image" else {"prompt": PROMPTS, "negative_prompt": NEGATIVE}


@torch.no_grad()
def expected(
    kind: Kind,
    pixels: np.ndarray,
    prompts: list[str],
    negative: str,
    *,
    initial: str = "shuffle",
    paired: bool = False,
    hole: np.ndarray | None = None,
    controls: list | None = None,
    tell_target=None,
    variations: int = VARIATIONS,
    source: str = "",
    **options,
) -> np.ndarray:
    """The reference's final latents (E, N, h, w, c)."""
    unet, scheduler = kind.pipe.unet, dict(kind.pipe.scheduler.config)
    made = []
    for exemplar, (picture, prompt, seed) in enumerate(zip(pixels, prompts, SEEDS, strict=True)):
        clean = reference.encode(kind.pipe.vae, nchw(picture[None].astype(np.float32) / 127.5 - 1))[0]
        own = kind.tell(source, picture)
        chain = reference.invert(unet, clean, own, scheduler, STEPS, "target")
        where = None if hole is None else torch.from_numpy(hole[exemplar])
        start = [
            Oracle.start(chain[-1], initial, seed, n)
            if hole is None
            else Oracle.inside(chain[-1], hole[exemplar], seed, n)
            for n in range(variations)
        ]
        target = tell_target(prompt, picture, seed) if tell_target else kind.tell(prompt, picture)
        nothing = _nothing(kind, "", picture)
        shown = [
            reference.Control(net, nchw(images[exemplar : exemplar + 1]), scale)
            for net, images, scale in controls or ()
        ]
        levels = reference.generate(
            unet, chain, torch.stack(start), own, target, _nothing(kind, negative, picture), scheduler,
            empty=nothing if paired else None, hole=where, controls=shown,
            **({"t_align": 600, "t_early": 300, "align": "latent", "guidance_scale": 5.0} | options),
        )  # fmt: skip
        made.append(levels[0])
    return nhwc(torch.stack(made))


def _nothing(kind: Kind, prompt: str, picture: np.ndarray) -> reference.Told:
    """Of a negative prompt: SDXL is told the picture's size all the same."""
    return kind.tell(prompt, picture if "text_encoder_2" in kind.pipe.components else None)


def check(name: str, out, theirs: np.ndarray) -> None:
    error = relative(out.latents, theirs)
    print(f"\n{name}: {error:.1e}")
    assert out.latents.shape == theirs.shape
    assert error <= LIMIT


SETTINGS = {"seed": SEEDS, "num_variations": VARIATIONS, "source_prompt": "", "num_inference_steps": STEPS,
            "height": SIZE[0], "width": SIZE[1]}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_is_told(load: Load, pixels: np.ndarray, name: str) -> None:
    """Tokens, and what is added to timesteps, which is compared through the UNet below."""
    pipe, kind = load(name)
    texts = ("", "") if name == "image" else tuple(PROMPTS)
    ours = pipe.embed(texts, SIZE, Shown(pixels))
    for row, text in enumerate(texts):
        error = relative(ours.tokens[row], kind.tell(text, pixels[row]).tokens.numpy())
        print(f"\n{name} tokens of {text!r}: {error:.1e}")
        assert error <= LAYER_LIMIT
    blank = pipe.embed(("", ""), SIZE)
    nothing = _nothing(kind, "", pixels[0])
    np.testing.assert_allclose(blank.tokens[0], nothing.tokens, atol=1e-5)
    if name == "sdxl":
        assert not blank.tokens.any() and not blank.added[:, :24].any() and blank.added[:, 24:].any()
    if name == "unclip":
        np.testing.assert_array_equal(blank.added[:1], nothing.classes)


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_a_prediction(load: Load, pixels: np.ndarray, name: str) -> None:
    pipe, kind = load(name)
    x = np.random.default_rng(1).standard_normal((2, 16, 24, 4), np.float32)
    prompts = ["", ""] if name == "image" else PROMPTS
    told = pipe.embed(tuple(prompts), SIZE, Shown(pixels))
    ours = _predict(pipe.unet, x, told)
    rows = [
        reference.predict(kind.pipe.unet, nchw(x[n : n + 1]), 501, kind.tell(prompts[n], pixels[n])) for n in range(2)
    ]
    error = relative(ours, nhwc(torch.cat(rows)))
    print(f"\n{name} UNet, and all that it is told: {error:.1e}")
    assert error <= LAYER_LIMIT


@jax.jit
def _predict(unet, x, told):
    return unet.module()(x, jnp.full(2, 501), told.tokens, added_ba=told.added)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_vary(load: Load, pixels: np.ndarray, name: str) -> None:
    pipe, kind = load(name)
    out = pipe.vary(list(pixels), **prompts_for(name), **(SETTINGS if name != "image" else _without_source()))
    prompts, negative = (["", ""], "") if name == "image" else (PROMPTS, NEGATIVE)
    check(name, out, expected(kind, pixels, prompts, negative))


def _without_source() -> dict:
    return {key: value for key, value in SETTINGS.items() if key != "source_prompt"}


@pytest.mark.slow
def test_the_papers_settings_in_pairs(load: Load, pixels: np.ndarray) -> None:
    """Noise alignment and two references of SDXL, told the prompt and nothing; both halves have rows of their own."""
    pipe, kind = load("sdxl")
    paper = {"t_early": 600, "align": "noise"}
    out = pipe.vary(list(pixels), **prompts_for("sdxl"), **SETTINGS, **paper, reference="paired")
    check("sdxl, paired, noise", out, expected(kind, pixels, PROMPTS, NEGATIVE, paired=True, **paper))


@pytest.mark.slow
def test_edit(load: Load, pixels: np.ndarray) -> None:
    pipe, kind = load("sdxl")
    out = pipe.edit(list(pixels), **prompts_for("sdxl"), **(SETTINGS | {"num_variations": 1}))
    options = {"attention_start": 900, "initial": "inverted", "variations": 1}
    check("sdxl, edit", out, expected(kind, pixels, PROMPTS, NEGATIVE, **options))


@pytest.mark.slow
def test_inpaint_with_a_controlnet(load: Load, pixels: np.ndarray, tmp_path: Path) -> None:
    pipe, kind = load("sdxl")
    network = ControlNetModel.from_unet(kind.pipe.unet, conditioning_embedding_out_channels=(4, 8))
    randomise(network, torch.Generator().manual_seed(5))
    network.save_pretrained(tmp_path)
    shown = list(np.random.default_rng(1).integers(0, 256, (EXEMPLARS, *SIZE, 3), np.uint8))
    masks = np.zeros((EXEMPLARS, *SIZE), bool)
    masks[0, 5:20, 9:24], masks[1, 16:, :] = True, True
    control = {"controlnet": ControlNet.from_pretrained(tmp_path, "float32"), "control_image": shown}
    out = pipe.inpaint(list(pixels), masks, **prompts_for("sdxl"), **SETTINGS, **control, controlnet_scale=0.7)
    controls = [(network.eval(), np.asarray(load_controls(shown, EXEMPLARS, *SIZE)), 0.7)]
    theirs = expected(kind, pixels, PROMPTS, NEGATIVE, hole=holes(masks, 2)[..., 0], controls=controls)
    check("sdxl, inpaint with a ControlNet", out, theirs)


@pytest.mark.slow
def test_noise_on_what_unclip_sees(load: Load, pixels: np.ndarray) -> None:
    pipe, kind = load("unclip")

    @torch.no_grad()
    def tell_target(prompt: str, picture: np.ndarray, seed: int) -> reference.Told:
        told = kind.tell(prompt, picture)
        width = told.classes.shape[1] // 2
        key = jax.random.key(seed, impl="threefry2x32")
        noise = torch.from_numpy(np.array(jax.random.normal(key, (width,))))[None]
        classes = kind.pipe.noise_image_embeddings(told.classes[:, :width], 300, noise=noise)
        return reference.Told(told.tokens, classes=classes)

    out = pipe.vary(list(pixels), **prompts_for("unclip"), **SETTINGS, noise_level=300)
    check("unclip, noise level 300", out, expected(kind, pixels, PROMPTS, NEGATIVE, tell_target=tell_target))
