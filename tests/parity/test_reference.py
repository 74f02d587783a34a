"""The torch reference itself, against diffusers and against laws of the method."""

import json

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from . import reference
from .checkpoints import write_checkpoint
from .comparison import relative
from .reference import Schedule, adain, generate, invert, predict, self_attentions

EPSILON = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
SD1 = EPSILON | {"set_alpha_to_one": False, "steps_offset": 1}
CONFIGS = [
    pytest.param(SD1, 10, id="sd1"),
    pytest.param(SD1, 50, id="sd1-50"),
    pytest.param(SD1 | {"prediction_type": "v_prediction"}, 10, id="v"),
    pytest.param(SD1 | {"timestep_spacing": "trailing"}, 10, id="trailing"),
    pytest.param(EPSILON | {"set_alpha_to_one": True, "steps_offset": 0}, 10, id="alpha-one"),
    pytest.param(SD1 | {"beta_schedule": "linear"}, 10, id="linear"),
]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> UNet2DConditionModel:
    directory = write_checkpoint("sd1_like", tmp_path_factory.mktemp("sd1_like"))
    return UNet2DConditionModel.from_pretrained(directory / "unet")


@pytest.fixture
def texts() -> dict:
    return {name: draw(77, 32, seed=number) for number, name in enumerate(["source", "prompt", "negative"])}


@pytest.mark.parametrize(("config", "steps"), CONFIGS)
def test_steps_agree_with_diffusers(config: dict, steps: int) -> None:
    ours, theirs = Schedule.read(config, steps), DDIMScheduler.from_config(config)
    theirs.set_timesteps(steps)
    assert ours.timesteps[::-1] == theirs.timesteps.tolist()
    x, prediction = draw(1, 4, 8, 8), draw(1, 4, 8, 8, seed=1)
    for level in range(steps, 0, -1):
        moved = ours.move(x, ours.noise(prediction, x, level), level, level - 1)
        expected = theirs.step(prediction, ours.timesteps[level - 1], x, eta=0.0).prev_sample
        assert relative(moved, expected) < 2e-5  # their alphas are float32


def test_levels_without_signal_agree_with_diffusers() -> None:
    config = SD1 | {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    ours, theirs = Schedule.read(config, 10), DDIMScheduler.from_config(config)
    theirs.set_timesteps(10)
    assert ours.alphas[-1] == 0 and ours.timesteps[::-1] == theirs.timesteps.tolist()
    assert relative(torch.tensor(ours.alphas[1:]), theirs.alphas_cumprod[ours.timesteps]) < 1e-5
    x, prediction = draw(1, 4, 8, 8), draw(1, 4, 8, 8, seed=1)
    assert relative(ours.start(prediction, x), theirs.step(prediction, 999, x, eta=0.0).prev_sample) < 1e-5


def test_published_configs_are_read(tmp_path) -> None:
    for kind, is_v in [("sd1_like", False), ("sd2_like", True)]:
        config = json.loads((write_checkpoint(kind, tmp_path / kind) / "scheduler/scheduler_config.json").read_text())
        schedule = Schedule.read(config, 50)
        assert schedule.timesteps == list(range(1, 1000, 20))
        assert schedule.v_prediction is is_v
        assert schedule.alphas[0] == pytest.approx(0.99915)


def test_down_undoes_up() -> None:
    schedule, x, noise = Schedule.read(SD1, 10), draw(4, 8, 8), draw(4, 8, 8, seed=1)
    up = schedule.move(x, noise, 3, 4)
    assert relative(schedule.move(up, noise, 4, 3), x) < 1e-6


@torch.no_grad()
def test_an_identical_reference_changes_nothing(unet: UNet2DConditionModel, texts: dict) -> None:
    x = draw(1, 4, 16, 16)
    plain = predict(unet, x, 501, texts["prompt"])
    with self_attentions(unet) as layers:
        assert len(layers) == 16
        for layer in layers:
            layer.mode = "record"
        assert relative(predict(unet, x, 501, texts["prompt"]), plain) < 1e-6
        for mode in ("replace", "concat"):
            for layer in layers:
                layer.mode, layer.reference = mode, layer.seen
            rows = predict(unet, x.expand(3, -1, -1, -1), 501, texts["prompt"])
            assert relative(rows, plain.expand(3, -1, -1, -1)) < 2e-6
        predict(unet, draw(1, 4, 16, 16, seed=1), 501, texts["prompt"])
    assert relative(predict(unet, x, 501, texts["prompt"]), plain) < 1e-6  # the layers are as they were


@torch.no_grad()
def test_without_attention_and_alignment_it_is_ddim(unet: UNet2DConditionModel, texts: dict) -> None:
    chain, initial = draw(6, 4, 16, 16), draw(2, 4, 16, 16, seed=1)
    ours = generate(unet, chain, initial, **texts, scheduler_config=SD1, attention_start=0, align="none")
    scheduler, x = DDIMScheduler.from_config(SD1), initial
    scheduler.set_timesteps(5)
    both = torch.stack([texts["negative"], texts["prompt"]]).repeat_interleave(2, dim=0)
    for timestep in scheduler.timesteps:
        negative, positive = unet(torch.cat([x, x]), timestep, both).sample.chunk(2)
        x = scheduler.step(negative + 7 * (positive - negative), timestep, x).prev_sample
    assert relative(ours[0], x) < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("t_align", [0, 1000])
def test_a_variation_of_itself_is_the_reference_row(unet: UNet2DConditionModel, texts: dict, t_align: int) -> None:
    """From x[T], under the source prompt and without guidance, the first step is plain DDIM in either mode."""
    chain = draw(3, 4, 16, 16)
    same = {name: texts["source"] for name in texts}
    settings = {"scheduler_config": SD1, "guidance_scale": 1.0, "t_early": 1000}
    row = generate(unet, chain, chain[-1:], **same, **settings, t_align=t_align)
    plain = generate(unet, chain, chain[-1:], **same, **settings, attention_start=0)
    assert relative(row[-2], plain[-2]) < 2e-6


CHANGES = [
    {"t_align": 300},
    {"t_early": 300},
    {"attention_start": 700},
    {"align": "latent"},
    {"align": "none"},
    {"empty": draw(77, 32, seed=9)},
    {"guidance_scale": 3.0},
]


@torch.no_grad()
def test_every_setting_changes_the_result(unet: UNet2DConditionModel, texts: dict) -> None:
    chain, initial = draw(5, 4, 16, 16), draw(1, 4, 16, 16, seed=1)  # 4 steps: 1, 251, 501, 751
    base = generate(unet, chain, initial, **texts, scheduler_config=SD1)
    for change in CHANGES:
        changed = generate(unet, chain, initial, **texts, scheduler_config=SD1, **change)
        assert relative(changed[0], base[0]) > 1e-3, change


@torch.no_grad()
def test_variations_do_not_touch_each_other(unet: UNet2DConditionModel, texts: dict) -> None:
    chain, initial = draw(4, 4, 16, 16), draw(3, 4, 16, 16, seed=1)
    together = generate(unet, chain, initial, **texts, scheduler_config=SD1)
    alone = generate(unet, chain, initial[1:2], **texts, scheduler_config=SD1)
    assert relative(together[:, 1:2], alone) < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("convention", ["target", "current"])
def test_inversion_is_told_the_right_timesteps(unet: UNet2DConditionModel, texts, convention, monkeypatch) -> None:
    told = []

    def spy(unet, x, timestep, embedding):
        told.append(timestep)
        return predict(unet, x, timestep, embedding)

    monkeypatch.setattr(reference, "predict", spy)
    chain = invert(unet, draw(4, 16, 16), texts["source"], SD1, 10, convention)
    assert chain.shape == (11, 4, 16, 16)
    assert told == {"target": list(range(1, 1000, 100)), "current": [0, *range(1, 900, 100)]}[convention]


def test_initial_latents() -> None:
    latent = draw(4, 16, 16) * torch.tensor([0.5, 1, 2, 3])[:, None, None] + 1
    order = torch.stack([torch.randperm(256, generator=torch.Generator().manual_seed(seed)) for seed in range(2)])
    rows = reference.shuffled(latent, order)
    assert rows.shape == (2, 4, 16, 16)
    assert torch.equal(rows[1, :, 0, 3], latent.flatten(1)[:, order[1, 3]])
    drawn = reference.gaussian(latent, draw(400, 4, 16, 16)).transpose(0, 1).flatten(1)
    assert relative(drawn.mean(1), latent.flatten(1).mean(1)) < 0.02
    assert relative(torch.cov(drawn), torch.cov(latent.flatten(1))) < 0.02


def test_adain_moves_the_statistics() -> None:
    target = 3 * draw(1, 4, 16, 16) + 1
    moved = adain(draw(2, 4, 16, 16, seed=1), target)
    assert relative(moved.mean((2, 3)), target.mean((2, 3)).expand(2, -1)) < 1e-5
    assert relative(moved.std((2, 3)), target.std((2, 3)).expand(2, -1)) < 1e-4
