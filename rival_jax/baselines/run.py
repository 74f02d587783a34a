"""One run of `rival compare` from start to end: load, invert, draw by every method, measure, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import jax
import numpy as np

from rival_jax import checks, outputs, record
from rival_jax.baselines.arguments import Compare
from rival_jax.baselines.methods import METHODS, Task
from rival_jax.baselines.table import MEASURES, markdown
from rival_jax.errors import InputError
from rival_jax.evidence.scores import measure
from rival_jax.images import check_images
from rival_jax.metrics.judge import EMBEDDED, Judge
from rival_jax.pipeline import RivalPipeline
from rival_jax.run import Clock
from rival_jax.sheets import grid
from rival_jax.steps import Progress


def compare(args: Compare, progress: Progress) -> tuple[str, list[Path]]:
    """Draws and measures; returns the table and what was written.

    Raises InputError for bad arguments before anything is computed.
    """
    count = len(args.photos)
    check_images(list(args.photos))
    if not args.prompt:
        raise InputError("prompt is missing: say what the variations show.")
    prompts = checks.per_exemplar("prompt", _one_or_each(args.prompt), count)
    sources = checks.per_exemplar("source_prompt", _one_or_each(args.source_prompt or args.prompt), count)
    checks.count("num_variations", args.num_variations)
    checks.count("num_inference_steps", args.num_inference_steps)
    checks.finite("guidance_scale", args.guidance_scale)
    seeds = checks.seeds([args.seed + number for number in range(count)], count)
    judge = Judge.from_pretrained(args.clip or EMBEDDED)
    folder = outputs.prepare_folder(args.out)
    clock = Clock(progress)
    clock("loading", 0, 1)
    pipe = RivalPipeline.from_pretrained(args.model, args.dtype, args.attention, config=args.model_config)
    clock("loading", 1, 1)
    photos, steps = list(args.photos), args.num_inference_steps
    chain = pipe.invert(photos, sources, steps, height=args.height, width=args.width, progress=clock)
    task = Task(pipe, chain, prompts, args.num_variations, args.guidance_scale, seeds.tolist())
    drawn = {}
    for name, draw in METHODS.items():
        drawn[name] = draw(replace(task, progress=lambda _, *steps, name=name: clock(name, *steps)))
        clock.mark(name)
    scores = {name: measure(judge, chain.pixels, prompts, images) for name, images in drawn.items()}
    table = markdown(scores)
    files = [outputs.write_png(folder, "compare-0001.png", sheet(chain.pixels[e], drawn, e)) for e in range(count)]
    files.append(outputs.write_new(folder, "table.md", table.encode()))
    content = {
        "command": "rival compare",
        "arguments": {k: v for k, v in asdict(replace(args, dtype=pipe.dtype)).items() if v is not None},
        "photos": record.files(args.photos),
        "scores": {name: {key: own[key].tolist() for key in MEASURES} for name, own in scores.items()},
        "device": f"{jax.local_device_count()} x {jax.devices()[0].device_kind} ({jax.devices()[0].platform})",
        "versions": record.versions(),
        "seconds": clock.seconds,
        "files": [file.name for file in files],
    }
    return table, [*files, outputs.write_new(folder, "run.json", record.to_json(content))]


def sheet(exemplar: np.ndarray, drawn: Mapping[str, np.ndarray], number: int):
    """A row a method: the exemplar (H, W, 3), then what was drawn of it, the `number`th of each (E, N, H, W, 3)."""
    most = max(images.shape[1] for images in drawn.values())
    rows = []
    for images in drawn.values():
        blank = np.full((most - images.shape[1], *exemplar.shape), 255, np.uint8)
        rows.append(np.concatenate([exemplar[None], images[number], blank]))
    return grid(np.stack(rows), ["exemplar", *map(str, range(1, most + 1))], list(drawn))


def _one_or_each(texts: tuple[str, ...]) -> str | tuple[str, ...]:
    return texts[0] if len(texts) == 1 else texts
