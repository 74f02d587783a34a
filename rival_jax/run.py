"""One `rival vary` from start to end: load, invert, generate, reconstruct, write; and `rival warmup` before it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from threading import Thread
from typing import Any

import jax

from rival_jax import checks, outputs, record
from rival_jax.arguments import READ, REPEATED, Programs, Vary, Warmup
from rival_jax.devices import share
from rival_jax.images import check_images, psnr
from rival_jax.info import kernels
from rival_jax.pipeline import RivalPipeline, Variations
from rival_jax.sheets import contact_sheet
from rival_jax.steps import Progress
from rival_jax.weights import EMBEDDED

_ELSEWHERE = ("photos", "out", "model", "dtype", "config", "attention", "lora", "lora_scale", "textual_inversion")
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


def run(args: Vary, progress: Progress, say: Callable[[str], None]) -> dict:
    """Does what `rival vary` was asked for, writes the pictures, the sheet and the record, and returns the record.

    `say` is told what the user should know beforehand. Raises InputError for bad arguments before anything is computed.
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
    pipe = _load(args)
    clock("loading", 1, 1)
    for token in pipe.tokenizer.unused((*args.prompt, *args.source_prompt, *args.negative_prompt)):
        warnings.warn(f"No prompt has the token {token!r}, so its textual inversion changes nothing.", stacklevel=2)
    content = _described(args, pipe)
    if args.cache_reference:
        size = pipe.cache_bytes(len(args.photos), args.num_inference_steps, args.height, args.width)
        say(f"cache_reference keeps {size / 2**30:.2f} GiB on the device.")
    out = pipe.vary(list(args.photos), **settings, progress=clock)
    clock.mark("decoding")
    reconstructed = pipe.reconstruct(out.chain, progress=lambda _, *steps: clock("reconstruction", *steps))
    clock.mark("reconstruction")

    variations = [outputs.write_png(folder, "variation-0001.png", picture) for row in out.pil for picture in row]
    _warn_of_flagged(out, variations)
    sheet = outputs.write_png(folder, "sheet.png", contact_sheet(out.chain.pixels, reconstructed, out.images))
    content |= {
        "reconstruction_psnr_db": psnr(out.chain.pixels, reconstructed).round(2).tolist(),
        "nsfw": "not checked" if out.nsfw is None else out.nsfw.tolist(),
        "seconds": clock.seconds,
        "files": {"variations": [path.name for path in variations], "sheet": sheet.name},
    }
    content["files"]["record"] = outputs.write_new(folder, "run.json", record.to_json(content)).name
    return content


def _warn_of_flagged(out: Variations, files: list[Path]) -> None:
    """One warning that names the files of all flagged variations."""
    if out.nsfw is not None and out.nsfw.any():
        flagged = ", ".join(file.name for file, is_nsfw in zip(files, out.nsfw.flat, strict=True) if is_nsfw)
        warnings.warn(f"The model's safety checker finds not safe for work: {flagged}.", stacklevel=2)


def warmup(args: Warmup, progress: Progress) -> str | None:
    """Compiles what `rival vary` will run; returns where the programs are kept. Raises InputError as `run` does."""
    checks.count("photos", args.photos)
    customised = bool(args.lora or args.textual_inversion)  # which is done to weights
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype, args.attention, weights=customised)
    pipe = _customised(pipe, args)
    pipe.warmup(args.photos, **_of_programs(args), progress=progress)
    return getattr(jax.config, "jax_compilation_cache_dir", None)


def _load(args: Vary) -> RivalPipeline:
    """The model; on accelerators programs are compiled while weights are read, on a CPU neither would be faster."""
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype, args.attention, weights=jax.default_backend() == "cpu")
    if not pipe.stands_in:
        return _customised(pipe, args)

    def compile_what_fits() -> None:
        with suppress(Exception):  # of memory, say: what matters the run itself will meet again
            pipe.warmup(len(args.photos), **_of_programs(args))

    aside = Thread(target=compile_what_fits, daemon=True)  # nobody waits for it after an error or Ctrl-C
    aside.start()
    loaded = _customised(pipe.load(), args)
    aside.join()
    return loaded


def _customised(pipe: RivalPipeline, args: Programs) -> RivalPipeline:
    """The model with the concepts that were asked for."""
    if args.lora:
        pipe = pipe.load_lora_weights(args.lora, args.lora_scale)
    for file in args.textual_inversion:
        pipe = pipe.load_textual_inversion(file)
    return pipe


def _of_programs(args: Programs) -> dict[str, Any]:
    """The arguments of `vary` that programs depend on."""
    names = (field.name for field in fields(Programs))
    return {name: getattr(args, name) for name in names if name not in _ELSEWHERE}


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
        lora=tuple(file.absolute() for file in args.lora),
        textual_inversion=tuple(file.absolute() for file in args.textual_inversion),
        out=args.out.absolute(),
        model=args.model if args.model == EMBEDDED else str(pipe.directory),  # of a hub id, the commit's own folder
        dtype=pipe.dtype,
        height=args.height or pipe.size,
        width=args.width or pipe.size,
        config=None,
    )
    device = jax.devices()[0]
    sides = pipe.latent_shape(args.height or pipe.size, args.width or pipe.size)[:2]
    rows = 2 * math.prod(share(len(photos), args.num_variations))
    return {
        "command": "rival vary",
        "arguments": {name: value for name, value in asdict(repeatable).items() if value is not None},
        **{name: record.files(getattr(repeatable, name)) for name in READ},
        "device": f"{jax.local_device_count()} x {device.device_kind} ({device.platform})",
        "attention": kernels(pipe.unet.config, *sides, rows, pipe.dtype, pipe.attention),
        "versions": record.versions(),
    }
