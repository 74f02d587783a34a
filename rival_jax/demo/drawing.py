"""What the page draws: fields in, pictures with captions out. Nothing here knows of browsers."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rival_jax.errors import InputError
from rival_jax.images import decode_picture, load_images, psnr
from rival_jax.interpolation.run import moving
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress
from rival_jax.variations import Variations

CANVAS = 480
"""Pixels that the picture to paint on has at least."""


@dataclass(frozen=True)
class Drawn:
    """Pictures with their captions, in the order they are shown; where they move, a GIF."""

    pictures: list[tuple[Image.Image, str]]
    animation: bytes | None = None


def photo(file: str | None, name: str = "photo") -> Image.Image:
    """An uploaded photo, upright. Raises InputError for none, and for a file that is no picture, by its own name."""
    if file is None:
        raise InputError(f"{name} is missing: upload one, or take a sample.")
    return decode_picture(Path(file).read_bytes(), Path(file).name)


def chosen_seed(seed: int | None, random: bool) -> int | None:
    """The seed that is given, or any other."""
    return secrets.randbelow(2**32) if random else seed


def vary(
    pipe: RivalPipeline, file: str | None, prompt: str, source_prompt: str, *, progress: Progress, **settings: Any
) -> Drawn:
    """What `rival vary` draws of the same settings; an empty source prompt is the prompt."""
    told = {"prompt": prompt or None, "source_prompt": source_prompt or None}
    out = pipe.vary(photo(file), **told, **settings, progress=progress)
    return _beside_photo(pipe, out, progress)


def edit(
    pipe: RivalPipeline, file: str | None, source_prompt: str, prompt: str, *, progress: Progress, **settings: Any
) -> Drawn:
    """What `rival edit` draws of the same settings."""
    out = pipe.edit(photo(file), prompt, source_prompt or None, **settings, progress=progress)
    return _beside_photo(pipe, out, progress)


def canvas(pipe: RivalPipeline, file: str | None) -> Image.Image:
    """A photo to paint a mask on: cropped as the model sees it, and enlarged by a whole factor where that is small."""
    seen = Image.fromarray(load_images(photo(file), pipe.size, pipe.size)[0])
    factor = math.ceil(CANVAS / pipe.size)
    return seen.resize((pipe.size * factor, pipe.size * factor), Image.Resampling.NEAREST)


def inpaint(
    pipe: RivalPipeline,
    file: str | None,
    painted: np.ndarray | None,
    prompt: str,
    *,
    progress: Progress,
    **settings: Any,
) -> Drawn:
    """What `rival inpaint` draws of the photo as the model sees it.

    painted: uint8 (h, w), above 0 where the canvas was painted on; a pixel is filled where most of it is.
    """
    seen = load_images(photo(file), pipe.size, pipe.size)
    if painted is None or not painted.any():
        raise InputError("mask is missing: paint over what shall be filled.")
    whole = Image.fromarray(np.where(painted > 0, 255, 0).astype(np.uint8))
    mask = np.asarray(whole.resize((pipe.size, pipe.size), Image.Resampling.BOX))
    out = pipe.inpaint(seen, mask, prompt or None, **settings, progress=progress)
    return _beside_photo(pipe, out, progress)


def interpolate(
    pipe: RivalPipeline,
    start: str,
    start_file: str | None,
    end: str,
    end_file: str | None,
    num_inference_steps: int,
    *,
    progress: Progress,
    **settings: Any,
) -> Drawn:
    """What `rival interpolate` draws between two prompts, photos, or one of each."""
    for name, text, file in (("start", start, start_file), ("end", end, end_file)):
        if not text and file is None:
            raise InputError(f"{name} is missing: say what it shows, or give its photo.")
    photos = {name: file and photo(file) for name, file in (("start", start_file), ("end", end_file))}
    ends: dict[str, Any] = {"start": start, "end": end}
    for name, given in photos.items():
        if given:
            ends[name] = pipe.invert(given, ends[name], num_inference_steps, progress=progress)
    out = pipe.interpolate(**ends, num_inference_steps=num_inference_steps, **settings, progress=progress)
    frames = out.pil[0]
    numbered = [(frame, f"{t:.2f}") for frame, t in zip(frames, out.coefficients[0], strict=True)]
    before, after = ([(Image.fromarray(ends[k].pixels[0]), f"photo at the {k}")] if photos[k] else [] for k in ends)
    return Drawn([*before, *numbered, *after], moving(frames, "gif"))


def _beside_photo(pipe: RivalPipeline, out: Variations, progress: Progress) -> Drawn:
    """The photo, what its inversion leads back to, and what was drawn."""
    [reconstructed] = pipe.reconstruct(out.chain, progress=lambda _, *steps: progress("reconstruction", *steps))
    [decibels] = psnr(out.chain.pixels, reconstructed[None])
    flagged = np.zeros(len(out.pil[0]), bool) if out.nsfw is None else out.nsfw[0]
    captions = [f"{n}{', flagged as not safe for work' if bad else ''}" for n, bad in enumerate(flagged, start=1)]
    return Drawn(
        [
            (Image.fromarray(out.chain.pixels[0]), "photo"),
            (Image.fromarray(reconstructed), f"reconstruction, {decibels:.1f} dB"),
            *zip(out.pil[0], captions, strict=True),
        ]
    )
