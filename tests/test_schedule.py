"""Noise levels, timesteps and the step between two levels."""

import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.errors import InputError
from rival_jax.schedule import Schedule, clean_of, mix, noise_of, split

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


def test_levels_that_end_without_signal():
    """The first level stays, the last is noise alone, those between keep their order."""
    config = PNDM | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}
    levels, plain = Schedule.from_dict(config).alphas_cumprod, Schedule.from_dict(PNDM).alphas_cumprod
    assert levels[-1] == 0 and levels[0] == pytest.approx(plain[0], rel=1e-12)
    assert (np.diff(levels) < 0).all() and (levels <= plain + 1e-12).all()
    assert Schedule.from_dict(config).levels(10)[-1] == 0
    assert np.isfinite(Schedule.from_dict(config).second_order(10)).all()


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


def ddim(x, noise, level, next_level):
    """One step between two levels, of a network that predicts `noise`."""
    return mix(*split(noise, x, level, "epsilon"), next_level)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_up_then_down_with_constant_noise_is_the_identity(spacing, steps):
    levels = jnp.asarray(Schedule(timestep_spacing=spacing).levels(steps))
    draw = np.random.default_rng(steps)
    clean, noise = (jnp.asarray(draw.standard_normal((2, 4, 4, 4)), jnp.float32) for _ in range(2))
    x = clean
    for k in range(steps):
        x = ddim(x, noise, levels[k], levels[k + 1])
    np.testing.assert_allclose(x, ddim(clean, noise, levels[0], levels[-1]), rtol=1e-5, atol=1e-5)
    for k in range(steps, 0, -1):
        x = ddim(x, noise, levels[k], levels[k - 1])
    assert np.linalg.norm(x - clean) <= 1e-5 * np.linalg.norm(clean)


@pytest.mark.parametrize("level", [0.0047, 0.3, 0.9991])
def test_what_latents_are_made_of(level):
    """From either prediction both parts come back, and from either part the other."""
    level, clean, noise = jnp.float32(level), jnp.float32(0.9), jnp.float32(-0.2)
    x = mix(clean, noise, level)
    v = jnp.sqrt(level) * noise - jnp.sqrt(1 - level) * clean
    np.testing.assert_allclose(split(v, x, level, "v_prediction"), (clean, noise), rtol=1e-5)
    np.testing.assert_allclose(split(noise, x, level, "epsilon"), (clean, noise), rtol=1e-5)
    np.testing.assert_allclose((clean_of(noise, x, level), noise_of(clean, x, level)), (clean, noise), rtol=1e-4)


def test_the_noisiest_level_may_have_no_picture_left():
    nothing, clean, noise = jnp.float32(0), jnp.float32(0.9), jnp.float32(-0.2)
    np.testing.assert_allclose(split(-clean, noise, nothing, "v_prediction"), (clean, noise))


def test_second_order_weights():
    """Half the step in log signal-to-noise ratio over the step before; the first and the last step are DDIM's."""
    schedule, steps = Schedule(), 12
    levels = schedule.levels(steps).astype(np.float64)
    rate = 0.5 * np.log(levels / (1 - levels))
    expected = [0.5 * (rate[t - 1] - rate[t]) / (rate[t] - rate[t + 1]) for t in range(2, steps)]
    weights = schedule.second_order(steps)
    assert weights.shape == (steps + 1,) and weights.dtype == np.float32
    np.testing.assert_allclose(weights[2:-1], expected, rtol=1e-5)
    assert weights[1] == weights[-1] == 0
    for few in (1, 2):
        assert not schedule.second_order(few).any()
