"""The arguments of a run, checked before anything is computed: each bad one is an InputError of one sentence."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from rival_jax.chain import Chain
from rival_jax.errors import InputError
from rival_jax.kernels import obstacle
from rival_jax.models.config import UNetConfig
from rival_jax.options import ALIGNMENTS, BACKENDS, CONVENTIONS, INITIALS, REFERENCES, SOLVERS

MOST = 10_000
"""Of steps, of variations of a photo in one run, and of pixels along a side."""
_LARGEST = float(np.finfo(np.float32).max)


def per_exemplar(name: str, value: Any, exemplars: int) -> tuple[str, ...]:
    """One text for all exemplars, or one an exemplar, as one an exemplar."""
    texts = _one_an_exemplar(name, value, exemplars)
    for text in texts:
        if not isinstance(text, str) or text.encode(errors="ignore").decode() != text:
            raise InputError(f"{name} must be text (Unicode), but has {text!r}.")
    return texts


def seeds(value: Any, exemplars: int) -> np.ndarray:
    """One seed for all exemplars, or one an exemplar, as uint32 (e,)."""
    values = _one_an_exemplar("seed", value, exemplars)
    for seed in values:
        if not is_whole(seed) or not 0 <= seed < 2**32:
            raise InputError(f"seed is {seed!r}, but must be an integer from 0 to {2**32 - 1}.")
    return np.asarray(values, np.uint32)


def guidance(value: Any, exemplars: int, variations: int) -> np.ndarray:
    """One guidance scale for all variations, one an exemplar (e,), or one a variation (e, n), as float32 (e, n)."""
    if isinstance(value, str) or not np.iterable(value):
        finite("guidance_scale", value)
        return np.full((exemplars, variations), float(value), np.float32)
    shapes = f"({exemplars},), one a photo, or ({exemplars}, {variations}), one a variation"
    accepted = f"a finite number, or finite numbers of shape {shapes}"
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"guidance_scale has rows of different lengths, but must be {accepted}.") from error
    number = jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)
    if array.shape not in ((exemplars,), (exemplars, variations)) or not number:
        raise InputError(
            f"guidance_scale is an array of shape {array.shape} and type {array.dtype}, but must be {accepted}."
        )
    if not (within := np.abs(array.astype(np.float64)) <= _LARGEST).all():
        raise InputError(f"guidance_scale has {array[~within][0]}, but must be {accepted}.")
    rows = array[:, None] if array.ndim == 1 else array
    return np.broadcast_to(rows.astype(np.float32), (exemplars, variations))


def _one_an_exemplar(name: str, value: Any, exemplars: int) -> tuple:
    """A sequence of one an exemplar; text, and what is no sequence, stands for all of them."""
    try:
        values = (value,) * exemplars if isinstance(value, str) else tuple(value)
    except TypeError:
        values = (value,) * exemplars
    if len(values) != exemplars:
        raise InputError(
            f"{name} has {len(values)} entries, but the number of photos is {exemplars}; give one, or one a photo."
        )
    return values


def is_whole(value: Any) -> bool:
    """An integer."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """A number, or an array of one without axes."""
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    return is_whole(value) or isinstance(value, float)


def count(name: str, value: Any) -> None:
    """A whole number from 1 to MOST."""
    if not is_whole(value) or not 1 <= value <= MOST:
        raise InputError(f"{name} is {value!r}, but must be a whole number from 1 to {MOST}.")


def boundary(name: str, value: Any) -> None:
    """A boundary on the training scale of timesteps."""
    if not is_number(value) or not 0 <= value <= 1000:
        raise InputError(f"{name} is {value!r}, but must be from 0 to 1000 (training timesteps, whatever the steps).")


def finite(name: str, value: Any) -> None:
    """A number that is finite in float32."""
    if not is_number(value) or not abs(value) <= _LARGEST:
        raise InputError(f"{name} is {value!r}, but must be a finite number.")


def scales(value: Any, files: int) -> tuple[float, ...]:
    """One LoRA scale for all files, or one a file, as one a file."""
    values = tuple(value) if np.iterable(value) else (value,) * files
    values = values * files if len(values) == 1 else values
    if len(values) != files:
        raise InputError(f"lora_scale has {len(values)} entries for {files} files; give one, or one a file.")
    for scale in values:
        finite("lora_scale", scale)
    return tuple(map(float, values))


def choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} is {value!r}; accepted: {', '.join(map(repr, choices))}.")


def side(name: str, value: Any, default: int, factor: int) -> int:
    """A picture's height or width in pixels."""
    if value is None:
        return default
    if not is_whole(value) or not factor <= value <= MOST or value % factor:
        raise InputError(
            f"{name} is {value!r}, but must be a multiple of {factor} pixels for this model, at most {MOST}."
        )
    return int(value)


def variation(
    exemplars: int,
    *,
    prompt,
    source_prompt,
    negative_prompt,
    num_variations,
    num_inference_steps,
    guidance_scale,
    t_align,
    t_early,
    attention_start,
    initial,
    reference,
    align,
    seed,
    timestep_convention,
    cache_reference,
    solver,
    fixed_point_steps,
    noise_level,
    strength,
) -> None:
    """What `RivalPipeline.vary` is told, as far as no model is needed to judge it; None stands for a default."""
    count("num_variations", num_variations)
    guidance(guidance_scale, exemplars, num_variations)
    for name, value in (("t_align", t_align), ("t_early", t_early), ("attention_start", attention_start)):
        boundary(name, value)
    if isinstance(initial, str):
        choice("initial", initial, INITIALS)
    choice("reference", reference, REFERENCES)
    choice("align", align, ALIGNMENTS)
    per_exemplar("prompt", prompt, exemplars)
    per_exemplar("negative_prompt", negative_prompt, exemplars)
    if source_prompt is not None:
        per_exemplar("source_prompt", source_prompt, exemplars)
    choice("solver", solver, SOLVERS)
    for name, value, most in (("fixed_point_steps", fixed_point_steps, 100), ("noise_level", noise_level, 999)):
        if value is not None and not (is_whole(value) and 0 <= value <= most):
            raise InputError(f"{name} is {value!r}, but must be a whole number from 0 to {most}.")
    if not is_number(strength) or not 0 < strength <= 1:
        raise InputError(f"strength is {strength!r}, but must be above 0 and at most 1.")
    if strength < 1 and not (isinstance(initial, str) and initial == "inverted"):
        raise InputError(
            f"strength is {strength!r}, but only what starts from the inverted latents can leave steps out; "
            "accepted: 1, or less with initial 'inverted'."
        )
    seeds(seed, exemplars)
    if num_inference_steps is not None:
        count("num_inference_steps", num_inference_steps)
    if timestep_convention is not None:
        choice("timestep_convention", timestep_convention, CONVENTIONS)
    if cache_reference is not None:
        flag("cache_reference", cache_reference)
    if cache_reference and reference == "paired":
        raise InputError(
            "reference is 'paired', but cache_reference keeps the reference of the source prompt alone; "
            "accepted with it: 'shared'."
        )


def no_negative_prompt(value: Any, exemplars: int) -> None:
    """A chain with null-text embeddings has those in place of a negative prompt."""
    if any(per_exemplar("negative_prompt", value, exemplars)):
        raise InputError(
            f"negative_prompt is {value!r}, but the chain has null-text embeddings in its place; leave it out."
        )


def flag(name: str, value: Any) -> None:
    """Yes or no."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, but must be True or False.")


def chain(chain: Chain, latents: tuple[int, ...], *, height=None, width=None, **given) -> None:
    """A chain must be of this model, whose latents are (y, x, c), and what is `given` beside it the chain's own."""
    if chain.latents.shape[2:] != latents:
        raise InputError(f"The chain's latents are {chain.latents.shape[2:]}, but this model's would be {latents}.")
    owned = {name: (value, getattr(chain, name)) for name, value in given.items()}
    owned |= {"height": (height, chain.pixels.shape[1]), "width": (width, chain.pixels.shape[2])}
    for name, (value, own) in owned.items():
        if value is not None and value != own:
            raise InputError(
                f"{name} is {value!r}, but the chain was inverted with {own!r}; leave it out or invert again."
            )


def attention(backend: Any, dtype: str, unet: UNetConfig) -> None:
    """A kernel that the device can run for all of a model's layers."""
    choice("attention", backend, BACKENDS)
    for _, _, width in unet.self_attention(unet.sample_size, unet.sample_size):
        if reason := obstacle(backend, dtype, width):
            raise InputError(f"attention is {backend!r}, but {reason}; leave it out and a kernel that fits is chosen.")


def initial_array(value: object, shape: tuple[int, ...]) -> np.ndarray:
    """Initial latents that the caller gives, float32."""
    array = np.asarray(value)
    if array.shape != shape or not jnp.issubdtype(array.dtype, jnp.floating) or not np.isfinite(array).all():
        raise InputError(
            f"initial is an array of shape {array.shape} and type {array.dtype}, but must be finite floats of shape "
            f"{shape}: (exemplars, variations, latent height, latent width, channels)."
        )
    return array.astype(np.float32)
