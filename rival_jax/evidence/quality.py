"""How good the embedded model is: its autoencoder, its obedience to prompts, its pictures, its inversion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rival_jax.chain import Chain
from rival_jax.codec import decode, encode
from rival_jax.evidence.experiment import Experiment
from rival_jax.evidence.settings import PAPER, PAPER_STEPS, TEXT_TO_IMAGE
from rival_jax.evidence.store import digest_of
from rival_jax.images import load_images, psnr
from rival_jax.metrics.features import kid
from rival_jax.metrics.judge import Judge
from rival_jax.metrics.recogniser import Recogniser
from rival_jax.pipeline import RivalPipeline
from rival_jax.sheets import grid
from rival_jax.steps import Progress
from rival_jax.training.datasets import Labelled, labelled

_TOGETHER = 50
PROMPTS = 500
_ROWS, _COLUMNS = 4, 8
_SEED = 3_000_003
"""Of scenes that no training draws."""


def quality(experiment: Experiment, photos: Sequence[Path], progress: Progress) -> dict[str, float]:
    """All figures by their names: over as many drawings as exemplars, over the exemplars, and over 500 prompts.

    The pictures of the first prompts are left in the folder as text-to-image.png.
    """
    pipe, store, count = experiment.pipe, experiment.store, len(experiment.captions)
    world = labelled(max(PROMPTS, count), _SEED, pipe.size, processes=1)
    drawn = {
        "world": (world.pictures[:count], world.captions[:count]),
        "exemplars": (experiment.exemplars, experiment.captions),
    }
    natural = load_images(list(photos), pipe.size, pipe.size) if photos else None

    def autoencoder() -> dict[str, float]:
        kinds = {name: pictures for name, (pictures, _) in drawn.items()}
        kinds |= {} if natural is None else {"photos": natural}
        decoded = {name: through_autoencoder(pipe, pictures) for name, pictures in kinds.items()}
        return {f"VAE, {name}": float(psnr(kinds[name], pictures).mean()) for name, pictures in decoded.items()}

    def inversion() -> dict[str, float]:
        return {f"inversion, {name}": float(inversion_psnr(pipe, *kind).mean()) for name, kind in drawn.items()}

    def prompts() -> dict[str, float]:
        wanted = world.first(PROMPTS)
        made = text_to_image(pipe, wanted.captions)
        shown = made[: _ROWS * _COLUMNS].reshape(_ROWS, _COLUMNS, *made.shape[1:])
        store.write_png("text-to-image.png", grid(shown, captions=wanted.captions[: _ROWS * _COLUMNS]))
        return prompt_control(made, wanted, experiment.judge, Recogniser.from_pretrained())

    of_pictures = [pipe.dtype, *(digest_of(pictures) for pictures, _ in drawn.values())]
    groups = (
        ("autoencoder", [*of_pictures, "" if natural is None else digest_of(natural)], autoencoder),
        ("inversion", [*of_pictures, PAPER_STEPS], inversion),
        ("prompts", [pipe.dtype, world.captions[:PROMPTS], PAPER_STEPS], prompts),
    )
    results = {}
    for number, (name, question, compute) in enumerate(groups, start=1):
        results |= store.kept(name, [name, question], compute)
        progress("quality", number, len(groups))
    return results


def through_autoencoder(pipe: RivalPipeline, pictures: np.ndarray) -> np.ndarray:
    """Pictures (n, H, W, 3) uint8, encoded and decoded."""
    parts = [pictures[start : start + _TOGETHER] for start in range(0, len(pictures), _TOGETHER)]
    return np.concatenate([np.asarray(decode(pipe.vae, encode(pipe.vae, part)[:, None]))[:, 0] for part in parts])


def inversion_psnr(pipe: RivalPipeline, pictures: np.ndarray, captions: Sequence[str]) -> np.ndarray:
    """Decibels (n,) between the autoencoder's pictures and those that DDIM inversion and plain DDIM lead back to."""
    returned = []
    for start in range(0, len(pictures), _TOGETHER):
        rows = slice(start, start + _TOGETHER)
        returned.append(pipe.reconstruct(pipe.invert(pictures[rows], captions[rows], PAPER_STEPS)))
    return psnr(through_autoencoder(pipe, pictures), np.concatenate(returned))


def text_to_image(pipe: RivalPipeline, prompts: Sequence[str], guidance_scale: float = 7.0) -> np.ndarray:
    """Pictures (n, H, W, 3) uint8 of prompts in the paper's number of steps, with nothing read from any exemplar."""
    options: dict[str, Any] = PAPER | TEXT_TO_IMAGE | {"guidance_scale": guidance_scale}
    pictures = []
    for start in range(0, len(prompts), _TOGETHER):
        rows = list(prompts[start : start + _TOGETHER])
        seeds = list(range(start, start + len(rows)))
        pictures.append(pipe.vary(_nothing(pipe, len(rows)), rows, seed=seeds, **options).images[:, 0])
    return np.concatenate(pictures)


def _nothing(pipe: RivalPipeline, count: int) -> Chain:
    """A chain of no exemplar, for what does not look at it."""
    side = pipe.size // pipe.vae.config.factor
    latents = np.zeros((PAPER_STEPS + 1, count, side, side, pipe.unet.config.in_channels), np.float32)
    return Chain(latents, np.zeros((count, pipe.size, pipe.size, 3), np.uint8), ("",) * count, "target")


def prompt_control(made: np.ndarray, wanted: Labelled, judge: Judge, recogniser: Recogniser) -> dict[str, float]:
    """Pictures (n, H, W, 3) uint8 made from descriptions against the drawings described.

    The shares whose thing, and whose colour, is recognised as the named one; the same of the drawings, which is the
    most that can be reached; and the KID between the two by the judge's features.
    """
    results = {}
    for name, pictures in (("made", made), ("drawn", wanted.pictures)):
        objects, colours = recogniser(pictures)
        results[f"object recognised, {name}"] = float((objects == wanted.objects).mean())
        results[f"colour recognised, {name}"] = float((colours == wanted.colours).mean())
    return results | {"KID x 1000": 1000 * kid(judge.embed_images(made), judge.embed_images(wanted.pictures))}
