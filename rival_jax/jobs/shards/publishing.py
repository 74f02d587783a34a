"""Shards on disk: written aside, given their names at once, and marked as done last.

Until the mark exists a shard counts as not done, whatever else of it is there, and is made anew.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from uuid import uuid4

from rival_jax.jobs import durable
from rival_jax.jobs.job import SUFFIXES
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import STATUSES, Row, read_rows, to_lines
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.shards import parquet, tars
from rival_jax.jobs.shards.folders import folder_of

_ARCHIVES = {"webdataset": "tar", "parquet": "parquet"}


@dataclass(frozen=True)
class Shard:
    """A shard's rows in order, and the files of the pictures among them by `Row.file_name`."""

    rows: list[Row]
    files: dict[str, bytes]


def file_name(plan: Plan, shard: int, sample: Sample, variation: int | None) -> str:
    """`Row.file_name` of a variation of a sample, or of the sample itself (None)."""
    kind = "original" if variation is None else f"v{variation}"
    name = f"{sample.key}_{kind}.{SUFFIXES[plan.job.output.image_format]}"
    if plan.job.output.format != "folder":
        return name
    return f"{folder_of(sample.label, plan.labels)}/{shard:05d}/{name}"


def home(plan: Plan, shard: int, row: Row) -> Path:
    """The file that a row's picture is in. Raises ValueError for a row without a picture."""
    if row.file_name is None:
        raise ValueError(f"{row.key} has no picture ({row.status})")
    archive = _archive(plan, shard)
    return plan.data / (archive or row.file_name)


def publish(plan: Plan, shard: int, content: Shard, seconds: float, *, replace: bool = False) -> None:
    """Writes a shard that took so many seconds, and marks it as done.

    One that is done already stays, unless it shall `replace` that. Several processes may publish the same shard at the
    same time. Scores that are no finite numbers are written as null. Raises OSError where it cannot be written; then
    the shard is not done, or is what it was.
    """
    rows = [_finite(row) for row in content.rows]
    staged = plan.staging / f"{shard:05d}.{uuid4().hex}"
    mark = staged.with_suffix(f"{staged.suffix}.json")
    try:
        (staged / "data").mkdir(parents=True)
        pictures = [(row, row.file_name, content.files[row.file_name]) for row in rows if row.file_name is not None]
        pieces = _write_data(plan, shard, staged / "data", pictures)
        durable.write(staged / "rows.jsonl", to_lines(rows))
        durable.write(mark, _stats(shard, rows, seconds))
        with durable.locked(plan.staging):
            wanted = replace or not plan.stats_file(shard).exists()
            if wanted:
                _name(plan, shard, staged, pieces)
            for left in plan.staging.glob(f"{shard:05d}.*"):  # of this process, of a killed one, or of a slower one
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                elif left != mark or not wanted:
                    left.unlink(missing_ok=True)
            if wanted:
                os.replace(mark, plan.stats_file(shard))
                durable.sync(plan.records)
    except FileNotFoundError:
        with durable.locked(plan.staging):
            is_done = plan.stats_file(shard).exists()  # by another process, which was quicker
        if replace or not is_done:
            raise


def _name(plan: Plan, shard: int, staged: Path, pieces: list[str]) -> None:
    """Gives what is staged its names, in place of whatever there is of the shard."""
    withdraw(plan, shard)
    for piece in pieces:
        target = plan.data / piece
        target.parent.mkdir(exist_ok=True)
        os.rename(staged / "data" / piece, target)
        durable.sync(target.parent)
    durable.sync(plan.data)
    os.replace(staged / "rows.jsonl", plan.rows_file(shard))
    durable.sync(plan.records)


def read(plan: Plan, shard: int, without: Collection[str] = ()) -> Shard:
    """A shard that is done, without the samples of some keys. Pictures that are gone are missing among its files.

    Raises OSError, ValueError or tarfile.TarError where what is there cannot be read.
    """
    rows = [row for row in read_rows(plan.rows_file(shard)) if row.key not in without]
    homes = {row.file_name: home(plan, shard, row) for row in rows if row.file_name is not None}
    there = {path for path in set(homes.values()) if path.exists()}
    if plan.job.output.format == "folder":
        return Shard(rows, {name: path.read_bytes() for name, path in homes.items() if path in there})
    reader = tars if plan.job.output.format == "webdataset" else parquet
    return Shard(rows, {name: data for path in there for name, data in reader.read(path).items() if name in homes})


def withdraw(plan: Plan, shard: int) -> None:
    """Takes away whatever there is of a shard, its mark first. Nothing half-deleted keeps its name."""
    plan.stats_file(shard).unlink(missing_ok=True)
    durable.sync(plan.records)
    plan.rows_file(shard).unlink(missing_ok=True)
    rubbish = plan.staging / f"{shard:05d}.withdrawn"
    shutil.rmtree(rubbish, ignore_errors=True)
    rubbish.mkdir()
    archive = _archive(plan, shard)
    for number, path in enumerate(plan.data.glob(archive or f"*/{shard:05d}")):
        os.rename(path, rubbish / str(number))
    shutil.rmtree(rubbish)


def _archive(plan: Plan, shard: int) -> str | None:
    """The name of the one file that holds a shard's pictures; None where each is a file of its own."""
    suffix = _ARCHIVES.get(plan.job.output.format)
    return suffix and f"{shard:05d}.{suffix}"


def _write_data(plan: Plan, shard: int, folder: Path, pictures: list[tuple[Row, str, bytes]]) -> list[str]:
    """Writes pictures below a folder as they shall be below data/; what there then is to be renamed."""
    archive = _archive(plan, shard)
    if archive is None:
        pieces = sorted({os.path.dirname(name) for _, name, _ in pictures})
        for piece in pieces:
            (folder / piece).mkdir(parents=True)
        for _, name, data in pictures:
            durable.write(folder / name, data)
        for piece in pieces:
            durable.sync(folder / piece)
        return pieces
    if not pictures:
        return []
    if archive.endswith(".tar"):
        tars.write(folder / archive, pictures, plan.labels)
    else:
        parquet.write(folder / archive, pictures)
    return [archive]


def _stats(shard: int, rows: list[Row], seconds: float) -> bytes:
    """The mark of a shard."""
    counts = Counter(row.status for row in rows)
    stats = {
        "shard": shard,
        "count": len(rows),
        "successes": counts["success"],
        "statuses": {status: counts[status] for status in STATUSES},
        "seconds": round(seconds, 3),
    }
    return json.dumps(stats).encode() + b"\n"


def _finite(row: Row) -> Row:
    """A row whose values are all JSON."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return replace(row, **{n: None for n, v in values.items() if isinstance(v, float) and not math.isfinite(v)})
