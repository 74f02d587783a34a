"""One run of an application from start to end: load, invert, generate, reconstruct, write; and `rival warmup`."""

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
import numpy as np

from rival_jax import checks, outputs, record
from rival_jax.arguments import READ, REPEATED, Edit, Generate, Inpaint, LearnConcept, Programs, Vary, Warmup
from rival_jax.controlnet import ControlNet
from rival_jax.devices import share
from rival_jax.edges import canny
from rival_jax.errors import InputError
from rival_jax.images import check_images, load_images, opened, psnr
from rival_jax.info import kernels
from rival_jax.learning.concept import learn_concept
from rival_jax.learning.settings import Settings
from rival_jax.masks import at_full_size, load_masks
from rival_jax.parts import may_see_pictures
from rival_jax.pipeline import RivalPipeline
from rival_jax.sheets import contact_sheet
from rival_jax.steps import Progress
from rival_jax.variations import Variations
from rival_jax.weights import EMBEDDED

_ELSEWHERE = (
    *("photos", "out", "config", "model", "model_config", "dtype", "attention"),
    *("lora", "lora_scale", "textual_inversion", "controlnet", "control_image", "controlnet_scale", "mask"),
)
"""Arguments of a command that are not arguments of `RivalPipeline.vary`, or have to be made ready for it."""
CANNY = "canny"
"""The control image that is made of the photo itself."""
FILES = {Vary: "variation", Generate: "generated", Edit: "edited", Inpaint: "inpainted"}
"""What an application's pictures are called."""


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
    """Does what an application was asked for, writes the pictures, the sheet and the record, and returns the record.

    `say` is told what the user should know beforehand. Raises InputError for bad arguments before anything is computed.
    """
    if not args.prompt and not may_see_pictures(args.model):
        raise InputError('prompt is missing: say what the photo shows, as in --prompt "a red house on green grass".')
    prompt = args.prompt or ("",)
    args = replace(
        args,
        prompt=prompt,
        source_prompt=args.source_prompt or (prompt if type(args) is Vary else ("",)),
        negative_prompt=args.negative_prompt or ("",),
        seed=args.seed or (0,),
    )
    settings = {name: value for name, value in asdict(args).items() if name not in _ELSEWHERE}
    for name in settings.keys() & set(REPEATED):
        settings[name] = settings[name][0] if len(settings[name]) == 1 else settings[name]
    _check(args, settings)
    folder = outputs.prepare_folder(args.out)
    clock = Clock(progress)
    clock("loading", 0, 1)
    pipe = _load(args)
    clock("loading", 1, 1)
    for reader in pipe.conditioner.texts[:1]:
        for token in reader.tokenizer.unused((*args.prompt, *args.source_prompt, *args.negative_prompt)):
            message = f"No prompt has the token {token!r}, so its textual inversion changes nothing."
            warnings.warn(message, stacklevel=2)
    content = _described(args, pipe)
    if args.cache_reference:
        size = pipe.cache_bytes(len(args.photos), args.num_inference_steps, args.height, args.width)
        say(f"cache_reference keeps {size / 2**30:.2f} GiB on the device.")
    out = _drawn(args, pipe, settings | _controls(args, pipe), clock)
    clock.mark("decoding")
    reconstructed = pipe.reconstruct(out.chain, progress=lambda _, *steps: clock("reconstruction", *steps))
    clock.mark("reconstruction")

    name = FILES[type(args)]
    variations = [outputs.write_png(folder, f"{name}-0001.png", picture) for row in out.pil for picture in row]
    full = _at_full_size(args, out, out.weights, folder) if out.weights is not None else {}
    _warn_of_flagged(out, variations)
    sheet = outputs.write_png(folder, "sheet.png", contact_sheet(out.chain.pixels, reconstructed, out.images, name))
    content |= {
        "reconstruction_psnr_db": psnr(out.chain.pixels, reconstructed).round(2).tolist(),
        "nsfw": "not checked" if out.nsfw is None else out.nsfw.tolist(),
        "seconds": clock.seconds,
        "files": {"variations": [path.name for path in variations], "sheet": sheet.name} | full,
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
    pipe = _customised(_pipe(args, weights=customised), args)
    pipe.warmup(args.photos, **_of_programs(args), progress=progress)
    return getattr(jax.config, "jax_compilation_cache_dir", None)


def learn(args: LearnConcept, progress: Progress) -> tuple[Path, str]:
    """Learns a concept; returns where it is, and the flag that names it. Raises InputError before anything is done."""
    if not args.photos:
        raise InputError("photos is missing: name three to ten photos of what is to be learnt.")
    settings = {field.name: getattr(args, field.name) for field in fields(Settings)}
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype, config=args.model_config)
    written = learn_concept(pipe, list(args.photos), args.out, **settings, progress=progress)
    flag = {"textual-inversion": "--textual-inversion", "lora": "--lora", "dreambooth": "--model"}[args.method]
    return written, f"{flag} {written}"


def _load(args: Vary) -> RivalPipeline:
    """The model; on accelerators programs are compiled while weights are read, on a CPU neither would be faster."""
    pipe = _pipe(args, weights=jax.default_backend() == "cpu")
    if not pipe.stands_in:
        return _customised(pipe, args)

    def compile_what_fits() -> None:
        with suppress(Exception):  # of memory, say: what matters the run itself will meet again
            pipe.warmup(len(args.photos), **_of_programs(args))

    if isinstance(args, Inpaint) or args.controlnet:  # their programs are others
        return _customised(pipe.load(), args)
    aside = Thread(target=compile_what_fits, daemon=True)  # nobody waits for it after an error or Ctrl-C
    aside.start()
    loaded = _customised(pipe.load(), args)
    aside.join()
    return loaded


def _pipe(args: Programs, weights: bool) -> RivalPipeline:
    return RivalPipeline.from_pretrained(args.model, args.dtype, args.attention, weights, args.model_config)


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


def _check(args: Vary, settings: dict) -> None:
    """What can be wrong before a model is loaded. Raises InputError."""
    sizes = check_images(list(args.photos))
    checks.variation(len(sizes), **{name: value for name, value in settings.items() if name not in ("height", "width")})
    if isinstance(args, Inpaint):
        if not args.mask:
            raise InputError("mask is missing: name a black and white picture of the photo's size; white is filled.")
        load_masks(list(args.mask), sizes, *sizes[0])
    _check_controls(args)


def _check_controls(args: Vary) -> None:
    """Raises InputError where control images are not as many as ControlNets, or as those times photos."""
    count, photos, images = len(args.controlnet), len(args.photos), len(args.control_image)
    if images and not count:
        raise InputError("control_image is given without a controlnet; give both or neither.")
    if images not in (count, count * photos):
        raise InputError(
            f"control_image has {images} entries, but there are {count} ControlNets and {photos} photos; "
            "give one for each ControlNet, or for each ControlNet one a photo."
        )


def _controls(args: Vary, pipe: RivalPipeline) -> dict[str, Any]:
    """The arguments of `vary` that concern ControlNets, which are loaded."""
    if not args.controlnet:
        return {}
    nets = [ControlNet.from_pretrained(net, args.dtype) for net in args.controlnet]
    height, width = args.height or pipe.size, args.width or pipe.size

    def picture(image: str, photo: Path) -> Any:
        return canny(load_images(photo, height, width)[0]) if image == CANNY else Path(image)

    each = len(args.control_image) // len(nets)
    shown = []
    for start in range(0, len(args.control_image), each):
        images = args.control_image[start : start + each] * (len(args.photos) // each)
        shown.append([picture(image, photo) for image, photo in zip(images, args.photos, strict=True)])
    scales = args.controlnet_scale or (1.0,)
    return {"controlnet": nets, "control_image": shown, "controlnet_scale": scales[0] if len(scales) == 1 else scales}


def _drawn(args: Vary, pipe: RivalPipeline, settings: dict[str, Any], clock: Clock) -> Variations:
    """What the application draws."""
    photos = list(args.photos)
    if isinstance(args, Inpaint):
        return pipe.inpaint(photos, list(args.mask), **settings, progress=clock)
    return pipe.vary(photos, **settings, progress=clock)  # settings say all that the other applications change


def _at_full_size(args: Vary, out: Variations, weights: np.ndarray, folder: Path) -> dict[str, list[str]]:
    """Lays what was filled over the photos as they were, and writes that."""
    files = []
    for photo, pictures, shares in zip(args.photos, out.images, weights, strict=True):
        whole = opened(photo)
        laid_over = (at_full_size(whole, picture, shares) for picture in pictures)
        files += [outputs.write_png(folder, "full-0001.png", picture) for picture in laid_over]
    return {"full_size": [file.name for file in files]}


def _described(args: Vary, pipe: RivalPipeline) -> dict:
    """What makes the run repeatable: its arguments, with nothing left to a default or a folder, files and versions."""
    given = {name: getattr(args, name) for name in READ if hasattr(args, name)}
    read = {name: tuple(map(_absolute, files)) for name, files in given.items()}
    source = {"model": EMBEDDED} if args.model == EMBEDDED else pipe.source  # of a hub id, the commit's own folder
    repeatable = replace(
        args,
        **read,
        controlnet=tuple(str(Path(net).absolute()) if Path(net).is_dir() else net for net in args.controlnet),
        out=args.out.absolute(),
        model=source["model"],
        model_config=source.get("config"),
        dtype=pipe.dtype,
        height=args.height or pipe.size,
        width=args.width or pipe.size,
        config=None,
    )
    device = jax.devices()[0]
    sides = pipe.latent_shape(args.height or pipe.size, args.width or pipe.size)[:2]
    rows = 2 * math.prod(share(len(args.photos), args.num_variations))
    return {
        "command": f"rival {type(args).__name__.lower()}",
        "arguments": {name: value for name, value in asdict(repeatable).items() if value is not None},
        **{name: record.files(Path(file) for file in files if file != CANNY) for name, files in read.items()},
        "device": f"{jax.local_device_count()} x {device.device_kind} ({device.platform})",
        "attention": kernels(pipe.unet.config, *sides, rows, pipe.dtype, pipe.attention),
        "versions": record.versions(),
    }


def _absolute(file: Path | str) -> Path | str:
    return file if file == CANNY else type(file)(Path(file).absolute())
