"""A job's throughput beside bare `pipe.vary` on the same batches: what reading, filters and files cost.

    python scripts/job_throughput.py [--samples 16] [--repeats 5]

The embedded model and the job's defaults (30 steps, 4 variations, 8 exemplars at once). Pictures of both are compared
first; then both run in turns in one process, and medians are printed.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import tyro
from PIL import Image

from rival_jax import RivalPipeline
from rival_jax.bench.machine import hardware
from rival_jax.images import load_images
from rival_jax.jobs import Plan, Worker, make_plan, run
from rival_jax.jobs.job import make_job
from rival_jax.jobs.rows import read_rows
from rival_jax.training.datasets import labelled


@dataclass(frozen=True)
class Options:
    """What is timed."""

    samples: int = 16
    """Exemplars; a multiple of 8."""
    repeats: int = 5
    """Runs of which the median is taken."""


def main(options: Options) -> None:
    """Compares, times and prints."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = _write(folder / "in", options.samples)
        worker = Worker.load(_plan(folder, "check"))
        run(worker.plan, worker)
        _compare(worker.plan, _bare(worker.pipe, worker.plan, paths))
        shares, jobs, bares = [], [], []
        for number in range(options.repeats):
            plan = _plan(folder, f"out{number}")
            bares.append(_seconds(lambda: _bare(worker.pipe, worker.plan, paths)))
            jobs.append(_seconds(lambda plan=plan: run(plan, replace(worker, plan=plan))))
            shares.append(bares[-1] / jobs[-1])
            shutil.rmtree(plan.folder)
    pictures = options.samples * 4
    print(hardware())
    print(f"{options.samples} exemplars x 4 variations, medians of {options.repeats} turns [fastest, slowest]")
    for name, seconds in (("pipe.vary", bares), ("job", jobs)):
        span = f"[{min(seconds):.2f}, {max(seconds):.2f}]"
        print(f"{name:<10} {median(seconds):7.2f} s {span:<16} {pictures / median(seconds):6.2f} pictures/s")
    print(f"the job reaches {100 * median(shares):.1f} % [{100 * min(shares):.1f}, {100 * max(shares):.1f}]")


def _write(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    pictures = labelled(count, seed=11).pictures
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:04d}.png")
    return sorted(folder.iterdir())


def _plan(folder: Path, name: str) -> Plan:
    ends = {"input": {"path": str(folder / "in")}, "output": {"path": str(folder / name)}, "shard_size": 8}
    return make_plan(make_job(ends | {"caption": {"template": "a picture"}, "filters": {"duplicates": 0.0}}))


def _bare(pipe: RivalPipeline, plan: Plan, paths: list[Path]) -> np.ndarray:
    """The same pictures without a job: (samples, 4, H, W, 3)."""
    samples = [sample for shard in range(plan.num_shards) for sample in plan.samples(shard)]
    made = []
    for start in range(0, len(paths), 8):
        chain = pipe.invert(load_images(paths[start : start + 8], pipe.size, pipe.size), "a picture")
        seeds = [sample.seed(0, 0) for sample in samples[start : start + 8]]
        guidance = np.full((8, 4), 5.0, np.float32)
        made.append(pipe.vary(chain, "a picture", num_variations=4, seed=seeds, guidance_scale=guidance).images)
    return np.concatenate(made)


def _compare(plan: Plan, expected: np.ndarray) -> None:
    """Exits where the job's pictures are not the bare ones."""
    rows = [row for shard in range(plan.num_shards) for row in read_rows(plan.rows_file(shard))]
    written = np.stack([np.asarray(Image.open(plan.data / str(row.file_name))) for row in rows])
    if not np.array_equal(written, expected.reshape(written.shape)):
        raise SystemExit("The job's pictures differ from those of pipe.vary.")


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
