"""The methods that RIVAL is compared with, against torch and diffusers on random weights.

`pytest -m parity tests/parity/test_baselines.py -s` prints the errors that are reached.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img
from transformers import CLIPTextModel, CLIPTokenizer

from rival_jax import RivalPipeline, pipeline
from rival_jax.baselines import methods
from rival_jax.baselines.methods import Task
from rival_jax.generation import generate

from . import other_methods
from .checkpoints import randomise, unet, write_checkpoint
from .comparison import nchw, nhwc, relative
from .oracle import Oracle
from .reference import Schedule

LIMIT = 1e-4
STEPS, GUIDANCE, EXEMPLARS, VARIATIONS = 10, 5.0, 2, 2
SOURCES = ["a red house", "grass"]
PROMPTS, SEEDS = ["a house on the grass", "two blue balls"], [3, 2**32 - 1]


@pytest.fixture(scope="module", params=["sd2_like", pytest.param("sd1_like", marks=pytest.mark.slow)])
def directory(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model that predicts v, or noise: narrow, but with Stable Diffusion's blocks, of which the second has all."""
    directory = write_checkpoint(request.param, tmp_path_factory.mktemp(request.param), small=True)
    changes = {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4, "attention_head_dim": 2}
    changes["layers_per_block"] = {"sd2_like": 1, "sd1_like": 2}[request.param]
    network = unet(request.param, **changes)
    randomise(network, torch.Generator().manual_seed(0))
    network.save_pretrained(directory / "unet")
    return directory


@pytest.fixture(scope="module")
def oracle(directory: Path) -> Oracle:
    return Oracle.load(directory)


@pytest.fixture(scope="module")
def task(directory: Path) -> Task:
    """Of smooth pictures with some noise."""
    pipe = RivalPipeline.from_pretrained(directory, "float32")
    draw = np.random.default_rng(0)
    coarse = draw.uniform(0, 255, (EXEMPLARS, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    pixels = np.clip(coarse + draw.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)
    return Task(pipe, pipe.invert(list(pixels), SOURCES, STEPS), PROMPTS, VARIATIONS, GUIDANCE, SEEDS)


@pytest.fixture(scope="module")
def chain(task: Task, oracle: Oracle) -> np.ndarray:
    """The reference's own, (T+1, E, h, w, c)."""
    return oracle.invert(np.asarray(task.chain.pixels), SOURCES, STEPS, "target")


@pytest.fixture
def check(task: Task, monkeypatch) -> Callable[..., None]:
    """Whether the latents that a method's pictures are decoded from are those that are expected."""
    made = []

    def watched(*arguments, **options):
        made.append(generate(*arguments, **options))
        return made[-1]

    for module in (methods, pipeline):
        monkeypatch.setattr(module, "generate", watched)

    def check(method: Callable[[Task], np.ndarray], expected: np.ndarray) -> None:
        method(task)
        [ours] = made
        error = relative(ours, expected)
        print(f"\n{method.__name__}: {error:.1e}")
        assert ours.shape == expected.shape and error <= LIMIT

    return check


def noises(task: Task) -> np.ndarray:
    """The random numbers that the package promises, (E, N, h, w, c)."""
    latent = nchw(task.chain.latents[0, 0])
    each = [[Oracle.start(latent, "random", seed, n) for n in range(VARIATIONS)] for seed in SEEDS]
    return nhwc(torch.stack([torch.stack(row) for row in each]))


def theirs(kind: type, directory: Path, oracle: Oracle):
    """A pipeline of diffusers with the DDIM scheduler."""
    folder = directory / "text_encoder"
    parts = {"text_encoder": CLIPTextModel.from_pretrained(folder).float(), "vae": oracle.vae, "unet": oracle.unet}
    tokenizer = CLIPTokenizer.from_pretrained(directory / "tokenizer")
    scheduler = DDIMScheduler.from_config(oracle.scheduler_config)
    alone = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipe = kind(tokenizer=tokenizer, scheduler=scheduler, **parts, **alone)
    pipe.set_progress_bar_config(disable=True)
    return partial(pipe, num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="latent")


def test_text_to_image(check, task, directory, oracle) -> None:
    draw, start = theirs(StableDiffusionPipeline, directory, oracle), noises(task)
    expected = [
        nhwc(draw([prompt] * VARIATIONS, latents=nchw(own)).images) for prompt, own in zip(PROMPTS, start, strict=True)
    ]
    check(methods.text_to_image, np.stack(expected))


def test_img2img(check, task, directory, oracle, chain, monkeypatch) -> None:
    """Diffusers' own, which is given the posterior's mean, where it would draw from it, and the noise."""
    draw = theirs(StableDiffusionImg2ImgPipeline, directory, oracle)
    expected = []
    for exemplar, (prompt, own) in enumerate(zip(PROMPTS, noises(task), strict=True)):
        monkeypatch.setattr(pipeline_stable_diffusion_img2img, "randn_tensor", lambda *_, own=own, **__: nchw(own))
        clean = nchw(chain[0, exemplar])[None].repeat(VARIATIONS, 1, 1, 1)
        expected.append(nhwc(draw([prompt] * VARIATIONS, image=clean, strength=methods.STRENGTH).images))
    check(methods.img2img, np.stack(expected))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["masactrl", "plug_and_play"])
def test_attention_of_the_source(check, task, oracle, name: str) -> None:
    """Of chains under the empty prompt, whatever ours was told; one picture, whatever the number of variations."""
    draw, empty, found = getattr(other_methods, name), oracle.embed(""), []
    chain = oracle.invert(np.asarray(task.chain.pixels), [""] * EXEMPLARS, STEPS, "target")
    schedule = Schedule.read(oracle.scheduler_config, STEPS)
    for exemplar, prompt in enumerate(PROMPTS):
        texts = oracle.embed(prompt), empty
        found.append(draw(oracle.unet, nchw(chain[:, exemplar]), *texts, schedule, GUIDANCE))
    check(getattr(methods, name), nhwc(torch.stack(found))[:, None])


@pytest.mark.slow
def test_noised_reference(check, task, oracle, chain) -> None:
    levels = task.pipe.schedule.levels(STEPS).astype(np.float64)[:, None, None, None, None]
    noise = np.stack([jax.random.normal(jax.random.key(seed), chain.shape[2:]) for seed in SEEDS])
    noised = (np.sqrt(levels) * chain[:1] + np.sqrt(1 - levels) * noise).astype(np.float32)
    settings = {"initial": "random", "align": "none", "guidance_scale": GUIDANCE, "t_align": 600}
    expected = oracle.vary(noised, SOURCES, PROMPTS, "", SEEDS, VARIATIONS, **settings)
    check(methods.noised_reference, expected)
