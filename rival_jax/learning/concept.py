"""A concept learnt from a few photos: from arguments to a file that `load_*`, or diffusers, reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax import checks
from rival_jax.errors import InputError
from rival_jax.images import load_images
from rival_jax.learning.examples import Examples, prompts_of
from rival_jax.learning.methods import DreamBooth, LoRA, Method, Params, TextualInversion
from rival_jax.learning.settings import Settings
from rival_jax.models.network import Network
from rival_jax.options import LEARNERS, Learner
from rival_jax.outputs import prepare_folder
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress, silent
from rival_jax.training.loop import fit
from rival_jax.training.recipe import Phase

_RATES: dict[Learner, float] = {"textual-inversion": 5e-3, "lora": 1e-3, "dreambooth": 1e-5}
_MOST_STEPS = 1_000_000
_NOTHING = {"guidance_scale": 5.0, "attention_start": 0.0, "align": "none", "initial": "random"}


def check(settings: Settings) -> None:
    """Raises InputError for a value out of its range."""
    checks.choice("method", settings.method, LEARNERS)
    for name in ("num_class_images", "num_vectors", "rank", "batch_size"):
        checks.count(name, getattr(settings, name))
    if not isinstance(settings.num_steps, int) or not 1 <= settings.num_steps <= _MOST_STEPS:
        raise InputError(f"num_steps is {settings.num_steps!r}, but must be a whole number from 1 to {_MOST_STEPS}.")
    if not isinstance(settings.token, str) or len(settings.token.split()) != 1:
        raise InputError(f"token is {settings.token!r}, but must be one word, such as '<sks>'.")
    if settings.class_prompt is not None and settings.method == "textual-inversion":
        raise InputError("class_prompt is for lora and dreambooth only: textual inversion changes no weights.")
    rate = settings.learning_rate
    if rate is not None and not (isinstance(rate, float | int) and 0 < rate <= 1):
        raise InputError(f"learning_rate is {rate!r}, but must be above 0 and at most 1.")
    checks.finite("prior_loss_weight", settings.prior_loss_weight)
    checks.seeds(settings.seed, 1)


def learn_concept(
    pipe: RivalPipeline, photos: Any, out: str | Path, *, progress: Progress = silent, **settings: Any
) -> Path:
    """Learns a concept and returns the file, or of DreamBooth the model directory, that it is loaded from.

    Args:
        pipe: what is learnt on.
        photos: as for `RivalPipeline.invert`; three to ten of one thing or style.
        out: folder of the result, of the loss curve (training/loss.csv) and of checkpoints: a call that was stopped
            goes on.
        progress: called with (stage, steps done, steps in all).
        settings: fields of `rival_jax.learning.settings.Settings`, such as `token`, `method` and `num_steps`.

    Raises InputError for arguments out of their range, and for a folder in which another concept is being learnt.
    Source: arXiv 2208.01618 (textual inversion), 2208.12242 (DreamBooth), 2106.09685 (LoRA).
    """
    asked = Settings(**settings)
    check(asked)
    if len(pipe.conditioner.texts) != 1 or pipe.conditioner.pictures:
        raise InputError("learn_concept learns on Stable Diffusion 1.x and 2.x; the model is of another kind.")
    pixels = load_images(photos, pipe.size, pipe.size)
    method = _method(pipe, asked)
    folder = prepare_folder(out)
    _check_folder(folder, asked, pipe)
    with pipe.precision():
        return method.write(_fit(method, asked, pixels, folder, progress), folder)


def _method(pipe: RivalPipeline, settings: Settings) -> Method:
    if settings.method == "textual-inversion":
        return TextualInversion.of(pipe, settings.token, settings.initializer_token, settings.num_vectors)
    if settings.method == "lora":
        return LoRA(pipe, settings.rank)
    if pipe.file:
        raise InputError(
            f"The model {pipe.file} is one file, but dreambooth needs a directory in the diffusers layout."
        )
    return DreamBooth(pipe)


def _check_folder(folder: Path, settings: Settings, pipe: RivalPipeline) -> None:
    """Raises InputError where the folder is of other settings, else leaves these there."""
    file, own = folder / "concept.json", json.loads(json.dumps(asdict(settings) | pipe.source))
    if file.exists():
        before = json.loads(file.read_text())
        for name, value in own.items():
            if before.get(name) != value:
                raise InputError(
                    f"The folder {folder} is of a concept whose {name} is {before.get(name)!r}, not {value!r}; "
                    "give another folder, or the same settings."
                )
    file.write_text(json.dumps(own, indent=2) + "\n")


def _fit(method: Method, settings: Settings, pixels: np.ndarray, folder: Path, progress: Progress) -> Params:
    pipe, batch_size = method.pipe, settings.batch_size
    concept = settings.token
    if settings.method != "textual-inversion" and settings.initializer_token:
        concept = f"{settings.token} {settings.initializer_token}"
    examples = [Examples.of(pipe, pixels, prompts_of(concept))]
    if settings.class_prompt is not None:
        examples.append(Examples.of(pipe, _class_images(pipe, settings, progress), [settings.class_prompt]))
    each = np.array([1.0, settings.prior_loss_weight], np.float32)[: len(examples)]
    weights = np.repeat(each, batch_size)

    def batch(rng: np.random.Generator) -> dict[str, np.ndarray]:
        drawn = [own.draw(rng, batch_size) for own in examples]
        joined = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
        return joined | {"weights": weights}

    rate = _RATES[settings.method] if settings.learning_rate is None else float(settings.learning_rate)
    phase = Phase(settings.num_steps, batch_size * len(examples), rate, ema=0.0)
    schedule = pipe.schedule
    levels = jnp.asarray(schedule.alphas_cumprod, jnp.float32)
    loss = partial(_loss, method.networks, levels, schedule.prediction_type)
    with jax.numpy_dtype_promotion("standard"):  # optax counts in whole numbers
        return fit(
            method.params(jax.random.key(settings.seed)),
            loss,
            batch,
            phase,
            folder / "training",
            seed=settings.seed,
            report=lambda step, steps, value: progress(f"learning, loss {value:.4f}", step, steps),
            frozen=(pipe.unet, pipe.text_encoder),
        )


def _loss(
    networks: Callable[..., tuple[Network, Network]],
    levels: jax.Array,
    prediction_type: str,
    params: Params,
    batch: dict[str, jax.Array],
    key: jax.Array,
    unet: Network,
    text_encoder: Network,
) -> jax.Array:
    """Mean squared error of the prediction for noised latents, each row at a timestep of its own."""
    unet, text_encoder = networks(params, unet, text_encoder)
    keys, rows = jax.random.split(key), batch["latents"].shape[0]
    timestep = jax.random.randint(keys[0], (rows,), 0, len(levels))
    level = levels[timestep][:, None, None, None]
    noise = jax.random.normal(keys[1], batch["latents"].shape)
    noisy = jnp.sqrt(level) * batch["latents"] + jnp.sqrt(1 - level) * noise
    target = noise
    if prediction_type == "v_prediction":
        target = jnp.sqrt(level) * noise - jnp.sqrt(1 - level) * batch["latents"]
    predicted = unet.module()(noisy, timestep, text_encoder.module()(batch["ids"]))
    return (batch["weights"][:, None, None, None] * jnp.square(predicted - target)).mean()


def _class_images(pipe: RivalPipeline, settings: Settings, progress: Progress) -> np.ndarray:
    """Pictures (n, H, W, 3) that the model itself makes of the class prompt."""
    gray = np.full((1, pipe.size, pipe.size, 3), 128, np.uint8)
    chain = pipe.invert(gray, "", progress=progress)
    made = pipe.vary(
        chain,
        settings.class_prompt or "",
        num_variations=settings.num_class_images,
        seed=settings.seed,
        **_NOTHING,
        progress=progress,
    )
    return made.images[0]
