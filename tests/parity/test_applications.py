"""Every application from pictures and prompts to latents, against the torch reference on random weights.

`pytest -m parity tests/parity/test_applications.py -s` prints the errors that are reached.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from rival_jax import ControlNet, InputError, RivalPipeline
from rival_jax.images import load_controls
from rival_jax.masks import holes

from . import reference
from .checkpoints import randomise, write_checkpoint
from .comparison import nchw, nhwc, relative
from .oracle import Oracle

LIMIT = 1e-4
STEPS, EXEMPLARS, VARIATIONS = 10, 2, 2
PROMPTS = ["a red house", "two blue balls on the grass"]
NEGATIVE, SEEDS = "monochrome", [3, 2**32 - 1]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint("sd2_like", tmp_path_factory.mktemp("sd2_like"), small=True)


@pytest.fixture(scope="module")
def pipe(directory: Path) -> RivalPipeline:
    return RivalPipeline.from_pretrained(directory, "float32")


@pytest.fixture(scope="module")
def oracle(directory: Path) -> Oracle:
    return Oracle.load(directory)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Smooth pictures with some noise."""
    draw = np.random.default_rng(0)
    coarse = draw.uniform(0, 255, (EXEMPLARS, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse + draw.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def chain(pipe: RivalPipeline, pixels: np.ndarray):
    """Of the empty prompt, as the applications have it."""
    return pipe.invert(list(pixels), "", STEPS)


def check(out, oracle: Oracle, name: str, **options) -> None:
    """The pipeline's final latents are the reference's; both follow their own chain."""
    chain = oracle.invert(np.asarray(out.chain.pixels), [""] * EXEMPLARS, STEPS, "target")
    options = {"t_align": 600, "t_early": 300, "align": "latent", "guidance_scale": 5.0} | options
    expected = oracle.vary(chain, [""] * EXEMPLARS, PROMPTS, NEGATIVE, SEEDS, out.latents.shape[1], **options)
    error = relative(out.latents, expected)
    print(f"\n{name}: {error:.1e}")
    assert expected.shape == out.latents.shape
    assert error <= LIMIT


SETTINGS = {"negative_prompt": NEGATIVE, "seed": SEEDS, "num_variations": VARIATIONS}


def test_generate(pipe, oracle, chain) -> None:
    check(pipe.generate(chain, PROMPTS, **SETTINGS), oracle, "generate", attention_start=960)


def test_edit(pipe, oracle, chain) -> None:
    out = pipe.edit(chain, PROMPTS, **(SETTINGS | {"num_variations": 1}))
    check(out, oracle, "edit", attention_start=900, initial="inverted")


def test_inpaint(pipe, oracle, chain) -> None:
    masks = np.zeros((EXEMPLARS, 32, 32), bool)
    masks[0, 5:20, 9:24], masks[1, 16:, :] = True, True
    out = pipe.inpaint(chain, masks, PROMPTS, **SETTINGS)
    check(out, oracle, "inpaint", hole=holes(masks, 2)[..., 0])


def test_dpm_solver(pipe, oracle, chain) -> None:
    check(pipe.vary(chain, PROMPTS, solver="dpm++", **SETTINGS), oracle, "dpm++", solver="dpm++")


@pytest.mark.slow
def test_null_text(pipe, oracle, pixels) -> None:
    """What is found leads where the reference's leads; and generation is told it in place of the negative prompt."""
    chain = pipe.invert(list(pixels), PROMPTS, STEPS)
    found = pipe.optimise_null_text(chain, 3.0, 3)
    settings = {"attention_start": 0, "align": "none", "initial": "inverted", "guidance_scale": 3.0}
    led = pipe.vary(found, PROMPTS, **settings)
    for exemplar, prompt in enumerate(PROMPTS):
        own = nchw(np.asarray(chain.latents)[:, exemplar])
        texts = oracle.embed(prompt), oracle.embed("")
        _, expected = reference.null_text(oracle.unet, own, *texts, oracle.scheduler_config, 3.0, 3)
        error = relative(led.latents[exemplar, 0], nhwc(expected)[0])
        print(f"\nnull text, exemplar {exemplar}: {error:.1e}")
        assert error <= LIMIT
    chain = oracle.invert(pixels, PROMPTS, STEPS, "target")
    expected = oracle.vary(chain, PROMPTS, PROMPTS, "", SEEDS, 1, null=np.asarray(found.null), **settings)
    assert relative(led.latents, expected) <= LIMIT


@pytest.mark.parametrize("solver", ["ddim", pytest.param("dpm++", marks=pytest.mark.slow)])
def test_a_noisiest_level_without_signal(directory: Path, pixels: np.ndarray, tmp_path: Path, solver: str) -> None:
    """Zero terminal signal-to-noise ratio, as v-predicting checkpoints are published with."""
    model = shutil.copytree(directory, tmp_path / "model")
    file = model / "scheduler" / "scheduler_config.json"
    changes = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    pipe = RivalPipeline.from_pretrained(model, "float32")
    assert pipe.schedule.levels(STEPS)[-1] == 0
    chain = pipe.invert(list(pixels), "", STEPS)
    out = pipe.vary(chain, PROMPTS, solver=solver, **SETTINGS)
    check(out, Oracle.load(model), f"zero terminal SNR, {solver}", solver=solver)
    with pytest.raises(InputError, match="align is 'noise', but the model's noisiest level is noise alone"):
        pipe.vary(chain, PROMPTS, align="noise")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_controlnet(pipe, oracle, chain, tmp_path: Path, count: int) -> None:
    draw = np.random.default_rng(1)
    directories = [tmp_path / str(number) for number in range(count)]
    for number, directory in enumerate(directories):
        network = ControlNetModel.from_unet(oracle.unet, conditioning_embedding_out_channels=(4, 8))
        randomise(network, torch.Generator().manual_seed(number))
        network.save_pretrained(directory)
    pictures = [list(draw.integers(0, 256, (EXEMPLARS, 32, 32, 3), np.uint8)) for _ in range(count)]
    scales = [0.7, 1.3][:count]
    nets = [ControlNet.from_pretrained(directory, "float32") for directory in directories]
    out = pipe.vary(chain, PROMPTS, controlnet=nets, control_image=pictures, controlnet_scale=scales, **SETTINGS)
    controls = [
        (ControlNetModel.from_pretrained(directory), np.asarray(load_controls(shown, EXEMPLARS, 32, 32)), scale)
        for directory, shown, scale in zip(directories, pictures, scales, strict=True)
    ]
    check(out, oracle, f"{count} ControlNets", controls=controls)
    plain = pipe.vary(chain, PROMPTS, **SETTINGS)
    assert relative(out.latents, plain.latents) > 1e-2
