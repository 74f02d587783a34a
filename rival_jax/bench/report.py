"""What `rival bench` does: load, compile, check, time, and say so in tables."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np

from rival_jax import checks
from rival_jax.arguments import Bench
from rival_jax.bench.flops import of_authors, of_ours
from rival_jax.bench.machine import hardware, peak_memory, versions
from rival_jax.bench.random_model import SIZES, write_random
from rival_jax.bench.stages import PROMPT, Timing, Workload, measure, paper_stages, peak
from rival_jax.bench.versus import VARIANTS, Disagreement, Rival, against_torch, check_torch
from rival_jax.cache import cache_directory, programs_in
from rival_jax.devices import share
from rival_jax.errors import InputError
from rival_jax.info import kernels, kernels_line
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.options import Backend, DType
from rival_jax.parts import device_dtype, plans
from rival_jax.pipeline import RivalPipeline
from rival_jax.steps import Progress
from rival_jax.weights.single_file import is_single_file


def bench(args: Bench, progress: Progress) -> tuple[str, bool]:
    """Measures what was asked for: the report, and whether torch, if it was asked, computes the same.

    Raises InputError for bad arguments, before any work.
    """
    for name in ("exemplars", "num_variations", "num_inference_steps", "repeats"):
        checks.count(name, getattr(args, name))
    if args.against:
        check_torch()
        if is_single_file(args.model):
            raise InputError(f"Torch reads models in the diffusers layout here, and {args.model} is one file.")
    dtype = args.dtype or device_dtype()
    work = Workload(args.exemplars, args.num_variations, args.num_inference_steps, *_sides(args, dtype))
    with TemporaryDirectory() as scratch:
        model = _model(args.model, cache_directory() or Path(scratch))
        return _report(replace(args, dtype=dtype), model, work, Path(scratch), progress)


def _sides(args: Bench, dtype: DType) -> tuple[int, int]:
    """Height and width, checked like the kernel against the model's configs alone."""
    if args.model in SIZES:
        configs = SIZES[args.model]
        unet, vae = UNetConfig.from_dict(configs["unet"]), VAEConfig.from_dict(configs["vae"])
    else:
        parts = plans(args.model, dtype)[2]
        unet, vae = parts["unet"].config, parts["vae"].config
    if args.attention is not None:
        checks.attention(args.attention, dtype, unet)
    size, factor = unet.sample_size * vae.factor, unet.factor * vae.factor
    high, wide = (checks.side(name, getattr(args, name), size, factor) for name in ("height", "width"))
    return high, wide


def _model(name: str, folder: Path) -> str | Path:
    return write_random(folder / "random" / name, name) if name in SIZES else name


def _report(args: Bench, model: str | Path, work: Workload, scratch: Path, progress: Progress) -> tuple[str, bool]:
    start = time.perf_counter()
    pipe = RivalPipeline.from_pretrained(model, args.dtype, args.attention)
    loading = time.perf_counter() - start
    progress("loading", 1, 1)
    cold, first = _starting(pipe, work, scratch)
    progress("compiling", 1, 1)
    fastest = peak(pipe.dtype, args.repeats)
    timings = measure(pipe, work, args.repeats, progress)
    lines = [
        f"{hardware()}; {versions(['jax', 'flax'])}",
        f"model {args.model}, {work.exemplars} exemplars x {work.num_variations} variations, "
        f"{work.height} x {work.width} pixels, T = {work.num_inference_steps}, {pipe.dtype}, attention: "
        + kernels_line(_kernels(pipe, work)),
        f"loading {loading:.1f} s; compiling and first steps {cold:.1f} s; a later process, from its start to its "
        f"pictures, {first:.1f} s",
        f"peak of matrix products in {pipe.dtype}: {fastest / 1e12:.3g} TFLOP/s; peak memory {peak_memory()}",
        _counted(pipe, work),
        "",
        *_stages(timings, fastest),
        "",
        f"Median of {args.repeats} runs, in brackets the fastest and the slowest; "
        f"{timings['end to end'].median / (work.exemplars * work.num_variations):.4g} s a variation.",
    ]
    if not args.against:
        return "\n".join(lines), True
    lines += ["", f"Against torch, turn by turn; {versions(['torch', 'diffusers'])}.", ""]
    try:
        rivals = against_torch(pipe, work, args.repeats, progress)
    except Disagreement as error:
        return "\n".join([*lines, str(error)]), False
    return "\n".join([*lines, *_against(rivals)]), True


def _starting(pipe: RivalPipeline, work: Workload, scratch: Path) -> tuple[float, float]:
    """Seconds until each program is compiled and has run once; and of a process that finds them, with its pictures."""
    programs, photos = scratch / "programs", scratch / "photos.npy"
    with programs_in(programs):
        jax.clear_caches()
        start = time.perf_counter()
        pipe.warmup(work.exemplars, height=work.height, width=work.width, **work.arguments)
        cold = time.perf_counter() - start
    np.save(photos, work.photos())
    model = {**pipe.source, "dtype": pipe.dtype, "attention": pipe.attention}
    request = {"images": str(photos), "prompt": PROMPT, "height": work.height, "width": work.width, **work.arguments}
    environment = {"JAX_COMPILATION_CACHE_DIR": str(programs), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    start = time.perf_counter()
    command = [sys.executable, "-c", _START, json.dumps(model), json.dumps(request)]
    subprocess.run(command, check=True, env=os.environ | environment)
    return cold, time.perf_counter() - start


_START = """
import json, sys
import numpy as np
from rival_jax import RivalPipeline
model, request = map(json.loads, sys.argv[1:])
RivalPipeline.from_pretrained(**model).vary(np.load(request.pop("images")), **request)
"""


def _counted(pipe: RivalPipeline, work: Workload) -> str:
    """Operations of a run against those of the authors' scheme."""
    shape = work.num_variations, work.height, work.width
    counted = (of_ours(pipe, *shape), of_ours(pipe, *shape, kept=True), of_authors(pipe, *shape))
    steps = work.num_inference_steps
    replaced = sum(count for stage, count in paper_stages(pipe, steps) if stage.attention == "replace")
    ours, kept, authors = (each.run(replaced, steps - replaced, work.num_variations) for each in counted)
    return f"operations: {ours / authors:.3f} of the authors' scheme's, {kept / authors:.3f} with cache_reference"


def _kernels(pipe: RivalPipeline, work: Workload) -> dict[str, Backend]:
    sides = pipe.latent_shape(work.height, work.width)[:2]
    rows = 2 * math.prod(share(work.exemplars, work.num_variations))
    return kernels(pipe.unet.config, *sides, rows, pipe.dtype, pipe.attention)


def _stages(timings: Mapping[str, Timing], fastest: float) -> list[str]:
    lines = ["| part | milliseconds | GFLOP | TFLOP/s | of peak |", "|---|---|---|---|---|"]
    for name, timing in timings.items():
        rate = timing.flops / timing.median if timing.flops else 0.0
        counted = [f"{timing.flops / 1e9:.4g}", f"{rate / 1e12:.3g}", f"{rate / fastest:.0%}"] if rate else ["-"] * 3
        lines.append(f"| {name} | {_span(timing, 1e3)} | {' | '.join(counted)} |")
    return lines


def _against(rivals: Mapping[str, Rival]) -> list[str]:
    lines = ["| torch | seconds | ours, seconds | ours is faster by | latents differ by |", "|---|---|---|---|---|"]
    for name, rival in rivals.items():
        faster = rival.theirs.median / rival.ours.median
        row = [VARIANTS[name], _span(rival.theirs), _span(rival.ours), f"{faster:.2f} x", f"{rival.difference:.1e}"]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _span(timing: Timing, unit: float = 1.0) -> str:
    low, middle, high = (unit * value for value in (min(timing.seconds), timing.median, max(timing.seconds)))
    return f"{middle:.4g} [{low:.4g}, {high:.4g}]" if len(timing.seconds) > 1 else f"{middle:.4g}"
