"""One run of `rival interpolate` from start to end: load, invert, draw, write."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from rival_jax import checks, outputs, record
from rival_jax.errors import InputError
from rival_jax.images import check_images
from rival_jax.interpolation.adapted import adapted
from rival_jax.interpolation.arguments import Interpolate
from rival_jax.interpolation.choosing import chooser
from rival_jax.interpolation.prompt_to_prompt import check_edit
from rival_jax.interpolation.request import Distance, InterpolationRequest, mixing_steps
from rival_jax.ip_adapter import IPAdapter
from rival_jax.metrics.judge import EMBEDDED, Judge
from rival_jax.metrics.lpips import LPIPS
from rival_jax.pipeline import RivalPipeline
from rival_jax.sheets import grid
from rival_jax.steps import Progress

_ELSEWHERE = (
    *("photos", "start", "end", "out", "animation", "model", "model_config", "dtype", "attention"),
    *("ip_adapter", "image_encoder", "lpips", "clip"),
)
"""Arguments of the command that are not arguments of `RivalPipeline.interpolate`, or have to be made ready for it."""
_SECONDS = 0.2
"""That a frame is shown."""


def interpolate(args: Interpolate, progress: Progress) -> list[Path]:
    """Draws a sequence and returns what was written: frames, strip, moving picture, record.

    Raises InputError for bad arguments before anything is computed.
    """
    if len(args.photos) > 2:
        raise InputError(f"photos has {len(args.photos)} entries; give the start's and the end's, the start's or none.")
    shown = [file for file in (args.image_start, args.image_end) if file is not None]
    if given := [*args.photos, *shown]:
        check_images(given)
    for name, text, photos in (("start", args.start, args.photos), ("end", args.end, args.photos[1:])):
        if not text and not photos and not (shown and args.ip_adapter):
            raise InputError(f"{name} is missing: say what it shows, or name its photo.")
    if args.animation == "mp4" and not shutil.which("ffmpeg"):
        raise InputError("animation is 'mp4', but there is no ffmpeg; accepted without it: 'gif'.")
    if args.prompt_to_prompt and len(args.photos) > 1:
        raise InputError("prompt_to_prompt edits the start; say what the end shows, without a photo of it.")
    if args.prompt_to_prompt:
        check_edit((args.start,), args.ip_adapter)
    for name in ("start", "end", "negative_prompt", "guide_prompt"):
        checks.per_exemplar(name, getattr(args, name) or "", 1)
    settings = {name: value for name, value in asdict(args).items() if name not in _ELSEWHERE}
    settings["distance"] = _distance(args)
    asked = InterpolationRequest(**{field.name: settings[field.name] for field in fields(InterpolationRequest)})
    asked.check()
    checks.guidance(args.guidance_scale, 1, 1)
    checks.seeds(args.seed, 1)
    folder = outputs.prepare_folder(args.out)
    progress("loading", 0, 1)
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype, args.attention, config=args.model_config)
    adapter = args.ip_adapter and IPAdapter.from_pretrained(
        args.ip_adapter, pipe.unet.config, args.image_encoder, args.dtype
    )
    adapted(adapter, args.image_start, args.image_end, args.ip_adapter_scale, args.scale_control, pipe.unet.config, 1)
    settings["distance"] = settings["distance"] or pipe.distance
    timesteps = pipe.schedule.timesteps(args.num_inference_steps)
    plan = asked.stages(timesteps, args.attention, of_photos=len(args.photos) == 2)
    chooser(asked, 1, mixing_steps(plan), settings["distance"])
    progress("loading", 1, 1)
    invert = {name: settings[name] for name in ("num_inference_steps", "height", "width")}
    ends: list[Any] = [args.start, args.end]
    for side, photo in enumerate(args.photos):
        ends[side] = pipe.invert(photo, ends[side], **invert, progress=progress)
    out = pipe.interpolate(*ends, **settings, ip_adapter=adapter, progress=progress)
    frames, [scores] = out.pil[0], out.scores
    files = [outputs.write_png(folder, "frame-0001.png", frame) for frame in frames]
    files.append(outputs.write_png(folder, "strip.png", grid(out.images, [f"{t:.2f}" for t in out.coefficients[0]])))
    if args.animation:
        files.append(outputs.write_new(folder, f"sequence.{args.animation}", moving(frames, args.animation)))
    guided = {}
    if args.guide_prompt is not None and (args.clip or args.model == "tiny"):
        judge = Judge.from_pretrained(args.clip or EMBEDDED)
        guided["closest_to_guide"] = files[int(out.closest(args.guide_prompt, judge)[0])].name
    content = guided | {
        "command": "rival interpolate",
        "arguments": {k: v for k, v in asdict(replace(args, dtype=pipe.dtype)).items() if v is not None},
        "photos": record.files(args.photos),
        "shown": record.files(shown),
        "coefficients": out.coefficients[0].tolist(),
        "beta_distribution": out.shapes[0].tolist(),
        "scores": asdict(scores),
        "device": f"{jax.local_device_count()} x {jax.devices()[0].device_kind} ({jax.devices()[0].platform})",
        "versions": record.versions(),
        "files": [file.name for file in files],
    }
    return [*files, outputs.write_new(folder, "run.json", record.to_json(content))]


def _distance(args: Interpolate) -> Distance | None:
    """What evenness is measured with, None for the default. Raises InputError for weights that cannot be read."""
    if args.lpips and args.clip:
        raise InputError("lpips and clip are both given; evenness is measured with one of them.")
    if args.lpips:
        if len(args.lpips) > 2:
            raise InputError(f"lpips has {len(args.lpips)} files; give the trunk's and the heads', or one of both.")
        files = list(args.lpips)
        return LPIPS.from_pretrained(files[0], files[1] if len(files) > 1 else None)
    return Judge.from_pretrained(args.clip).distance if args.clip else None


def moving(frames: Sequence[Image.Image], kind: str) -> bytes:
    """Forth and back, as a GIF or an MP4."""
    shown = [*frames, *frames[-2:0:-1]]
    if kind == "gif":
        buffer = io.BytesIO()
        shown[0].save(buffer, "GIF", save_all=True, append_images=shown[1:], duration=int(1000 * _SECONDS), loop=0)
        return buffer.getvalue()
    raw = b"".join(np.asarray(frame).tobytes() for frame in shown)
    width, height = shown[0].size
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sequence.mp4"
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(1 / _SECONDS), "-i", "-"]
        command = ["ffmpeg", "-v", "error", *source, "-pix_fmt", "yuv420p", str(file)]
        subprocess.run(command, input=raw, check=True)
        return file.read_bytes()
