"""The arguments of a run, checked before anything is computed: each bad one is an InputError of one sentence."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.errors import InputError

_WHOLE = int | np.integer
_REAL = float | np.floating


def per_exemplar(name: str, value: Any, exemplars: int) -> tuple[str, ...]:
    """One text for all exemplars, or one an exemplar, as one an exemplar."""
    texts = (value,) * exemplars if isinstance(value, str) else tuple(value)
    if len(texts) != exemplars:
        raise InputError(f"{name} has {len(texts)} entries for {exemplars} exemplars; give one, or one an exemplar.")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{name} must be text, but has {text!r}.")
    return texts


def seeds(value: Any, exemplars: int) -> np.ndarray:
    """One seed for all exemplars, or one an exemplar, as uint32 (e,)."""
    values = [value] * exemplars if isinstance(value, _WHOLE) else list(value)
    if len(values) != exemplars:
        raise InputError(f"seed has {len(values)} entries for {exemplars} exemplars; give one, or one an exemplar.")
    for seed in values:
        if not isinstance(seed, _WHOLE) or not 0 <= seed < 2**32:
            raise InputError(f"seed is {seed!r}, but must be an integer from 0 to {2**32 - 1}.")
    return np.asarray(values, np.uint32)


def count(name: str, value: Any) -> None:
    """A whole number of at least one."""
    if not isinstance(value, _WHOLE) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}, but must be a whole number of at least 1.")


def boundary(name: str, value: Any) -> None:
    """A boundary on the training scale of timesteps."""
    if not isinstance(value, _WHOLE | _REAL) or not 0 <= value <= 1000:
        raise InputError(f"{name} is {value!r}, but must be from 0 to 1000 (training timesteps, whatever the steps).")


def finite(name: str, value: Any) -> None:
    """A finite number."""
    if not isinstance(value, _WHOLE | _REAL) or not math.isfinite(value):
        raise InputError(f"{name} is {value!r}, but must be a finite number.")


def choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} is {value!r}; accepted: {', '.join(map(repr, choices))}.")


def side(name: str, value: Any, default: int, factor: int) -> int:
    """A picture's height or width in pixels."""
    if value is None:
        return default
    if not isinstance(value, _WHOLE) or value < factor or value % factor:
        raise InputError(f"{name} is {value!r}, but must be a multiple of {factor} pixels for this model.")
    return int(value)


def agrees(name: str, given, chain) -> None:
    """An argument that is given beside a chain must be the chain's own value."""
    if given is not None and given != chain:
        raise InputError(
            f"{name} is {given!r}, but the chain was inverted with {chain!r}; leave it out or invert again."
        )


def initial_array(value: object, shape: tuple[int, ...]) -> jax.Array:
    """Initial latents that the caller gives, float32."""
    array = np.asarray(value)
    if array.shape != shape or not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
        raise InputError(
            f"initial is an array of shape {array.shape} and type {array.dtype}, but must be finite floats of shape "
            f"{shape}: (exemplars, variations, latent height, latent width, channels)."
        )
    return jnp.asarray(array, jnp.float32)
