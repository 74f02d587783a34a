"""Noise levels and the DDIM step between any two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.errors import InputError
from rival_jax.typed import typed


@dataclass(frozen=True)
class Schedule:
    """A checkpoint's noise schedule, run by DDIM with eta 0 whatever sampler its config names.

    Source: RIVAL Appendix A; the defaults are Stable Diffusion 1.x's.
    """

    num_train_timesteps: int = 1000
    """1 or more."""
    beta_schedule: str = "scaled_linear"
    """How betas rise: "scaled_linear", "linear" or "squaredcos_cap_v2"."""
    beta_start: float = 0.00085
    """Of the first timestep, between 0 and 1."""
    beta_end: float = 0.012
    """Of the last timestep, between 0 and 1."""
    steps_offset: int = 1
    """The first timestep of "leading" spacing, 0 or more."""
    set_alpha_to_one: bool = False
    """Whether clean latents are at level 1, else at that of timestep 0."""
    prediction_type: str = "epsilon"
    """What the UNet predicts: "epsilon" (the noise) or "v_prediction"."""
    timestep_spacing: str = "leading"
    """How a chain's timesteps are chosen: "leading", "trailing" or "linspace"."""
    rescale_betas_zero_snr: bool = False
    """Levels are stretched so that the noisiest one is noise alone."""

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Schedule:
        """Reads the `config` of `scheduler/scheduler_config.json`. Raises InputError that names an unsupported value.

        Differs: fields of other samplers (PNDM's `skip_prk_steps` and the like) do not change the noise levels and are
        skipped; an absent field has Stable Diffusion 1.x's value.
        """
        fields = {name: config[name] for name in cls.__dataclass_fields__ if config.get(name) is not None}
        accepted = {
            "beta_schedule": ("scaled_linear", "linear", "squaredcos_cap_v2"),
            "prediction_type": ("epsilon", "v_prediction"),
            "timestep_spacing": ("leading", "trailing", "linspace"),
        }
        for name, choices in accepted.items():
            if name in fields and fields[name] not in choices:
                listed = ", ".join(map(repr, choices))
                raise InputError(
                    f"The scheduler config's {name} = {fields[name]!r} is not supported; accepted: {listed}."
                )
        for name in ("trained_betas", "clip_sample", "thresholding"):
            if config.get(name):
                raise InputError(f"The scheduler config's {name} = {config[name]!r} is not supported; accepted: off.")
        made = cls(**typed("The scheduler config's", fields, cls))
        if made.rescale_betas_zero_snr and made.prediction_type == "epsilon":
            raise InputError(
                "The scheduler config's rescale_betas_zero_snr = True is not supported with prediction_type 'epsilon', "
                "which says nothing of a picture at a level without signal; accepted: 'v_prediction'."
            )
        return made

    @property
    def alphas_cumprod(self) -> np.ndarray:
        """Cumulative alphas at timesteps 0 ... num_train_timesteps - 1, float64 (num_train_timesteps,)."""
        start, end, count = self.beta_start, self.beta_end, self.num_train_timesteps
        if self.beta_schedule == "squaredcos_cap_v2":
            bar = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
            betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
        elif self.beta_schedule == "scaled_linear":
            betas = np.linspace(start**0.5, end**0.5, count) ** 2
        else:
            betas = np.linspace(start, end, count)
        if not self.rescale_betas_zero_snr:
            return np.cumprod(1 - betas)
        signal = np.sqrt(np.cumprod(1 - betas))  # https://arxiv.org/abs/2305.08891, algorithm 1
        return np.square((signal - signal[-1]) * signal[0] / (signal[0] - signal[-1]))

    def timesteps(self, num_inference_steps: int) -> np.ndarray:
        """The sampling timesteps t_1 < ... < t_T, int32 (T,).

        Raises InputError where `num_inference_steps` is not positive or takes a timestep out of 0 ... 999.
        """
        last = self.num_train_timesteps - 1
        if not 1 <= num_inference_steps <= self.num_train_timesteps:
            raise InputError(
                f"num_inference_steps is {num_inference_steps}, but must be from 1 to {self.num_train_timesteps}."
            )
        if self.timestep_spacing == "leading":
            stride = self.num_train_timesteps // num_inference_steps
            steps = np.arange(num_inference_steps) * stride + self.steps_offset
        elif self.timestep_spacing == "trailing":
            stride = self.num_train_timesteps / num_inference_steps
            falling = np.arange(self.num_train_timesteps, 0, -stride)[:num_inference_steps]  # rounding may add one
            steps = np.round(falling)[::-1] - 1
        else:
            steps = np.round(np.linspace(0, last, num_inference_steps))
        if steps[0] < 0 or steps[-1] > last or len(np.unique(steps)) != num_inference_steps:
            raise InputError(
                f"num_inference_steps = {num_inference_steps} takes the timesteps to {int(steps[-1])}, "
                f"but they must stay within 0 ... {last}; take fewer steps."
            )
        return steps.astype(np.int32)

    def levels(self, num_inference_steps: int) -> np.ndarray:
        """Cumulative alphas of the chain's latents x[0] ... x[T], float32 (T + 1,); T is `num_inference_steps`.

        Raises InputError as `timesteps` does.
        """
        alphas_cumprod = self.alphas_cumprod
        clean = 1.0 if self.set_alpha_to_one else alphas_cumprod[0]
        noisy = alphas_cumprod[self.timesteps(num_inference_steps)]
        return np.concatenate([[clean], noisy]).astype(np.float32)

    def second_order(self, num_inference_steps: int) -> np.ndarray:
        """How far the step down from each of x[0] ... x[T] extrapolates its clean latents, float32 (T + 1,).

        In units of their change since the step before; 0 for the first and the last step, which are DDIM's. T is
        `num_inference_steps`.

        Raises InputError as `timesteps` does.
        Source: DPM-Solver++ (https://arxiv.org/abs/2211.01095), algorithm 2 (2M): 1 / (2 r).
        """
        weights = np.zeros(num_inference_steps + 1)
        levels = self.levels(num_inference_steps).astype(np.float64)[1:]
        with np.errstate(divide="ignore"):  # of a last level 0 the weight is 0
            rises = np.diff(np.log(levels / (1 - levels)))  # rises[k - 1]: from x[k] to x[k + 1]
        weights[2:-1] = rises[:-1] / (2 * rises[1:])
        return weights.astype(np.float32)


def split(prediction: jax.Array, x: jax.Array, level: jax.Array, prediction_type: str) -> tuple[jax.Array, jax.Array]:
    """The clean latents and the noise, (..., y, x, c) each, that latents are made of, as a network predicts it.

    Args:
        prediction: the network's, (..., y, x, c).
        x: latents (..., y, x, c).
        level: theirs, a cumulative alpha, 0 ... 1, that broadcasts to (..., y, x, c); 0 only where v is predicted.
        prediction_type: "epsilon" or "v_prediction".

    Source: https://arxiv.org/abs/2202.00512, section 4, of v.
    """
    signal, spread = jnp.sqrt(level), jnp.sqrt(1 - level)
    if prediction_type == "epsilon":
        return clean_of(prediction, x, level), prediction
    return signal * x - spread * prediction, signal * prediction + spread * x


def mix(clean: jax.Array, noise: jax.Array, level: jax.Array) -> jax.Array:
    """Latents (..., y, x, c) at a level. Of what `split` found at another level, up or down, this is the step of DDIM.

    Args:
        clean, noise: (..., y, x, c).
        level: a cumulative alpha, 0 ... 1, that broadcasts to (..., y, x, c).

    Source: RIVAL Eq. 4 and 5, which are the same function of the two levels.
    """
    return jnp.sqrt(level) * clean + jnp.sqrt(1 - level) * noise


def clean_of(noise: jax.Array, x: jax.Array, level: jax.Array) -> jax.Array:
    """The clean latents in latents `x` at a `level` above 0, at most 1, given their `noise`: all (..., y, x, c)."""
    return (x - jnp.sqrt(1 - level) * noise) / jnp.sqrt(level)


def noise_of(clean: jax.Array, x: jax.Array, level: jax.Array) -> jax.Array:
    """The noise in latents `x` at a `level` below 1, 0 or more, given their `clean` ones: all (..., y, x, c)."""
    return (x - jnp.sqrt(level) * clean) / jnp.sqrt(1 - level)
