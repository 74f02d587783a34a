"""Noise levels, timesteps and the step between two levels."""

import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.errors import InputError
from rival_jax.schedule import Schedule, ddim_step, to_noise

SPACINGS = ("leading", "trailing", "linspace")
PNDM = {  # as Stable Diffusion 1.5 publishes it
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}


def test_the_paper_s_schedule():
    schedule = Schedule()
    np.testing.assert_array_equal(schedule.timesteps(50), np.arange(1, 982, 20))
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    np.testing.assert_allclose(schedule.alphas_cumprod, np.cumprod(1 - betas), rtol=1e-12)
    levels = schedule.levels(50)
    assert levels.dtype == np.float32 and levels.shape == (51,)
    np.testing.assert_allclose(levels[0], 1 - 0.00085, rtol=1e-6)
    np.testing.assert_allclose(levels[1:], schedule.alphas_cumprod[1:982:20], rtol=1e-6)
    assert (np.diff(levels) < 0).all()


def test_another_sampler_s_config_gives_its_noise_levels():
    assert Schedule.from_dict(PNDM) == Schedule() == Schedule.from_dict({})


def test_a_config_is_read():
    config = {"prediction_type": "v_prediction", "beta_schedule": "linear", "beta_start": 0.1, "steps_offset": 0}
    schedule = Schedule.from_dict(config | {"set_alpha_to_one": True, "timestep_spacing": "trailing"})
    assert schedule.prediction_type == "v_prediction"
    assert schedule.alphas_cumprod[0] == pytest.approx(0.9)
    assert schedule.levels(4)[0] == 1.0
    np.testing.assert_array_equal(schedule.timesteps(4), [249, 499, 749, 999])


def test_squared_cosine_levels():
    levels = Schedule(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    assert levels[499] == pytest.approx(np.cos((0.5 + 0.008) / 1.008 * np.pi / 2) ** 2, rel=1e-3)
    assert levels[-1] > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("beta_schedule", "sigmoid"),
        ("prediction_type", "sample"),
        ("timestep_spacing", "karras"),
        ("trained_betas", [0.1, 0.2]),
        ("clip_sample", True),
        ("rescale_betas_zero_snr", True),
        ("thresholding", True),
    ],
)
def test_unsupported_values_are_named(field, value):
    with pytest.raises(InputError) as error:
        Schedule.from_dict(PNDM | {field: value})
    assert field in str(error.value) and repr(value) in str(error.value)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_number_of_steps_gives_as_many_timesteps_or_says_why_not(spacing):
    schedule = Schedule(timestep_spacing=spacing)
    refused = []
    for steps in range(1, 1001):
        try:
            timesteps = schedule.timesteps(steps)
        except InputError as error:
            assert f"num_inference_steps = {steps} " in str(error)
            refused.append(steps)
            continue
        assert timesteps.dtype == np.int32 and timesteps.shape == (steps,)
        assert (np.diff(timesteps) > 0).all() and timesteps[0] >= 0 and timesteps[-1] <= 999
    assert refused == {"leading": [1000], "trailing": [], "linspace": []}[spacing]


@pytest.mark.parametrize("steps", [-1, 0, 1001])
def test_too_few_or_too_many_steps(steps):
    with pytest.raises(InputError, match=f"num_inference_steps is {steps}, "):
        Schedule().timesteps(steps)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_up_then_down_with_constant_noise_is_the_identity(spacing, steps):
    levels = jnp.asarray(Schedule(timestep_spacing=spacing).levels(steps))
    draw = np.random.default_rng(steps)
    clean, noise = (jnp.asarray(draw.standard_normal((2, 4, 4, 4)), jnp.float32) for _ in range(2))
    x = clean
    for k in range(steps):
        x = ddim_step(x, noise, levels[k], levels[k + 1])
    np.testing.assert_allclose(x, ddim_step(clean, noise, levels[0], levels[-1]), rtol=1e-5, atol=1e-5)
    for k in range(steps, 0, -1):
        x = ddim_step(x, noise, levels[k], levels[k - 1])
    assert np.linalg.norm(x - clean) <= 1e-5 * np.linalg.norm(clean)


def test_a_step_keeps_the_clean_picture_that_the_noise_implies():
    x, noise = jnp.float32(0.7), jnp.float32(-1.3)
    a, b = jnp.float32(0.3), jnp.float32(0.8)
    clean = (x - jnp.sqrt(1 - a) * noise) / jnp.sqrt(a)
    np.testing.assert_allclose(ddim_step(x, noise, a, b), jnp.sqrt(b) * clean + jnp.sqrt(1 - b) * noise, rtol=1e-6)


def test_v_predictions_become_noise_at_their_own_level():
    level = jnp.float32(0.4)
    clean, noise = jnp.float32(0.9), jnp.float32(-0.2)
    x = jnp.sqrt(level) * clean + jnp.sqrt(1 - level) * noise
    v = jnp.sqrt(level) * noise - jnp.sqrt(1 - level) * clean
    np.testing.assert_allclose(to_noise(v, x, level, "v_prediction"), noise, rtol=1e-5)
    assert to_noise(noise, x, level, "epsilon") is noise
