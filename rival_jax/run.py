"""One `rival vary` from start to end: load, invert, generate, reconstruct, write."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import jax

from rival_jax import checks, outputs, record
from rival_jax.arguments import REPEATED, Vary
from rival_jax.images import check_images, psnr
from rival_jax.pipeline import RivalPipeline
from rival_jax.sheets import contact_sheet
from rival_jax.steps import Progress
from rival_jax.weights import EMBEDDED

_ELSEWHERE = ("photos", "out", "model", "dtype", "config")
"""Arguments of the command that are not arguments of `RivalPipeline.vary`."""


class Clock:
    """Seconds of each stage, told apart by what the progress reports."""

    def __init__(self, progress: Progress):
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._last = time.perf_counter()

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._progress(stage, done, total)
        if done == total:
            self.mark(stage)

    def mark(self, stage: str) -> None:
        """The time since the last mark belongs to `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._last, 3)
        self._last = now


def run(args: Vary, progress: Progress) -> dict:
    """Does what `rival vary` was asked for, writes the pictures, the sheet and the record, and returns the record.

    Raises InputError for bad arguments before anything is computed.
    """
    args = replace(
        args,
        source_prompt=args.source_prompt or args.prompt,
        negative_prompt=args.negative_prompt or ("",),
        seed=args.seed or (0,),
    )
    settings = {name: value for name, value in asdict(args).items() if name not in _ELSEWHERE}
    for name in REPEATED:
        settings[name] = settings[name][0] if len(settings[name]) == 1 else settings[name]
    _check(args.photos, settings)
    folder = outputs.prepare_folder(args.out)
    clock = Clock(progress)
    clock("loading", 0, 1)
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype)
    clock("loading", 1, 1)
    content = _described(args, pipe)
    out = pipe.vary(list(args.photos), **settings, progress=clock)
    clock.mark("decoding")
    reconstructed = pipe.reconstruct(out.chain, progress=lambda _, *steps: clock("reconstruction", *steps))
    clock.mark("reconstruction")

    variations = [outputs.write_png(folder, "variation-0001.png", picture) for row in out.pil for picture in row]
    sheet = outputs.write_png(folder, "sheet.png", contact_sheet(out.chain.pixels, reconstructed, out.images))
    content |= {
        "reconstruction_psnr_db": psnr(out.chain.pixels, reconstructed).round(2).tolist(),
        "seconds": clock.seconds,
        "files": {"variations": [path.name for path in variations], "sheet": sheet.name},
    }
    content["files"]["record"] = outputs.write_new(folder, "run.json", record.to_json(content)).name
    return content


def _check(photos: tuple[Path, ...], settings: dict) -> None:
    """What can be wrong before a model is loaded. Raises InputError."""
    sides = ("height", "width")
    count = check_images(list(photos))
    checks.variation(count, **{name: value for name, value in settings.items() if name not in sides})


def _described(args: Vary, pipe: RivalPipeline) -> dict:
    """What makes the run repeatable: its arguments, with nothing left to a default or a folder, files and versions."""
    photos = tuple(photo.absolute() for photo in args.photos)
    repeatable = replace(
        args,
        photos=photos,
        out=args.out.absolute(),
        model=args.model if args.model == EMBEDDED else str(pipe.directory),  # of a hub id, the commit's own folder
        dtype=pipe.dtype,
        height=args.height or pipe.size,
        width=args.width or pipe.size,
        config=None,
    )
    device = jax.devices()[0]
    return {
        "command": "rival vary",
        "arguments": {name: value for name, value in asdict(repeatable).items() if value is not None},
        "photos": [{"path": photo, "sha256": record.sha256(photo)} for photo in photos],
        "device": f"{device.device_kind} ({device.platform})",
        "versions": record.versions(),
    }
