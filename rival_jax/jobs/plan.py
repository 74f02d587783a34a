"""A job on disk, before, while and after it runs:

job.json              the job as it was planned, resolved, with its counts
plan/samples.jsonl    one line a sample, in the order of the dataset
plan/offsets.bin      where each shard's first line begins, uint64, little endian
plan/networks.json    which weights and dtype the first worker met, so that all others use the same
records/00000.jsonl   a shard's rows; 00000_stats.json beside it says that the shard is done
staging/              what is being written
data/                 the dataset that is being made
"""

from __future__ import annotations

import importlib.util
import json
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rival_jax.errors import InputError
from rival_jax.jobs.durable import growing, write_whole
from rival_jax.jobs.inputs.listing import samples
from rival_jax.jobs.job import Job, make_job
from rival_jax.jobs.rows import readable
from rival_jax.jobs.sample import Sample
from rival_jax.outputs import prepare_folder
from rival_jax.steps import Progress, silent

_FOLDERS = ("plan", "records", "data", "staging")
_REPORT_EVERY = 10_000


@dataclass(frozen=True)
class Plan:
    """A planned job. Made by `make_plan` and `read_plan`.

    job: what was asked for.
    folder: the output's.
    num_samples: 1 or more.
    labels: all labels, sorted; empty where samples have none.
    """

    job: Job
    folder: Path
    num_samples: int
    labels: tuple[str, ...]

    @property
    def num_shards(self) -> int:
        """How many shards the job has; the last one may be smaller."""
        return -(-self.num_samples // self.job.shard_size)

    @property
    def records(self) -> Path:
        """The folder of the shards' rows and marks."""
        return self.folder / "records"

    @property
    def data(self) -> Path:
        """The folder of the dataset that is being made."""
        return self.folder / "data"

    @property
    def staging(self) -> Path:
        """The folder of what is being written."""
        return self.folder / "staging"

    def samples(self, shard: int) -> list[Sample]:
        """The samples of `shard`, 0 ... num_shards - 1, in order."""
        offsets = np.memmap(self.folder / "plan" / "offsets.bin", "<u8", "r")
        with (self.folder / "plan" / "samples.jsonl").open("rb") as file:
            file.seek(int(offsets[shard]))
            return [Sample(**json.loads(file.readline())) for _ in range(self.samples_in(shard))]

    def samples_in(self, *shards: int) -> int:
        """How many samples `shards` have, 0 ... num_shards - 1 each; a job's last one may have fewer."""
        size = self.job.shard_size
        return sum(min(size, self.num_samples - shard * size) for shard in shards)

    def spread(self, count: int) -> Iterator[Sample]:
        """Up to `count` samples, 1 or more, evenly chosen, in their order."""
        places = np.unique(np.linspace(0, self.num_samples - 1, count).round().astype(int)).tolist()
        for shard, inside in (divmod(place, self.job.shard_size) for place in places):
            yield self.samples(shard)[inside]

    def rows_file(self, shard: int) -> Path:
        """The rows of `shard`, 0 ... num_shards - 1."""
        return self.records / f"{shard:05d}.jsonl"

    def stats_file(self, shard: int) -> Path:
        """The mark that `shard`, 0 ... num_shards - 1, is done."""
        return self.records / f"{shard:05d}_stats.json"

    def done(self) -> set[int]:
        """The shards that are done."""
        marks = (entry.name for entry in os.scandir(self.records) if entry.name.endswith("_stats.json"))
        return {int(name.removesuffix("_stats.json")) for name in marks}

    def pending(self, index: int = 0, count: int = 1) -> list[int]:
        """The shards that are not done, of those that belong to worker `index`, 0 ... count - 1, of `count`."""
        done = self.done()
        return [shard for shard in range(index, self.num_shards, count) if shard not in done]

    def check_networks(self, model: str, dtype: str) -> None:
        """Raises InputError where another worker of this job drew with another `model` (its fingerprint) or `dtype`."""
        mine = {"model": model, "dtype": dtype}
        file = self.folder / "plan" / "networks.json"
        write_whole(file, json.dumps(mine).encode(), replace=False)
        first = json.loads(file.read_text())
        for name, value in mine.items():
            if first[name] != value:
                raise InputError(
                    f"This worker's {name} is {value}, but the job in {self.folder} was begun with {first[name]}; "
                    "all of a job must be drawn alike."
                )


def make_plan(job: Job, progress: Progress = silent) -> Plan:
    """The plan of a job: the one that its output folder holds, or a new one, for which the input is listed.

    Nothing is generated and JAX is not imported. A job that was planned but not begun may still change.

    Args:
        job: as `read_job` gives it.
        progress: called with (stage, samples listed, 0), in the end with (stage, samples, samples).

    Raises InputError for an input without pictures or with two samples of one id, and for an output folder that holds
    another job's work or anything else.
    """
    if job.output.format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError("output.format is 'parquet', which needs pyarrow: pip install 'rival-jax[parquet]'.")
    job = _anchored(job)
    folder, former = Path(job.output.path), ()
    if (folder / "job.json").is_file():
        plan = read_plan(folder)
        if not (different := _differences(plan.job, job)):
            return plan
        if plan.done():
            raise InputError(
                f"The job in {folder} was begun with other values: {different}; give another output folder, or the "
                "former values to go on."
            )
        former = folder / "job.json", folder / "plan" / "networks.json"
    elif folder.is_dir() and (others := sorted(_visible(folder) - {*_FOLDERS, "job.json", "pilot"})):
        raise InputError(f"The output folder {folder} holds {others[0]} and no job; give a new or an empty folder.")
    listed = iter(samples(job))
    first = next(listed, None)  # an unusable input is told before the folder is made
    if first is None:
        raise InputError(f"The input {job.input.path} has no pictures.")
    for file in former:  # of a job that was planned otherwise
        file.unlink(missing_ok=True)
    return _write_plan(folder, job, chain([first], listed), None, progress)


def subset(plan: Plan, folder: Path, count: int) -> Plan:
    """A plan of up to `count` samples, evenly chosen, in a folder that must not exist yet."""
    job = plan.job.model_copy(update={"output": plan.job.output.model_copy(update={"path": str(folder)})})
    return _write_plan(folder, job, plan.spread(count), plan.labels, silent)


def read_plan(folder: str | Path) -> Plan:
    """The plan of the job that is in `folder`. Raises InputError where there is none."""
    folder = Path(folder).absolute()
    try:
        content = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        job = make_job(content["job"] | {"output": content["job"]["output"] | {"path": str(folder)}})
        return Plan(job, folder, content["num_samples"], tuple(content["labels"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder} holds no planned job (job.json); give the folder that a job writes to.") from error


def _write_plan(
    folder: Path, job: Job, listed: Iterable[Sample], labels: Iterable[str] | None, progress: Progress
) -> Plan:
    """A new plan. `labels` are those of the whole dataset, where not all of it is listed.

    Workers that plan the same job at the same time write the same files.
    """
    prepare_folder(folder)
    for name in _FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    count, found = _write_samples(folder / "plan", listed, job, progress)
    plan = Plan(job, folder, count, tuple(labels or found))
    content = {"job": job.model_dump(mode="json"), "num_samples": count, "labels": plan.labels}
    write_whole(folder / "job.json", (json.dumps(content, indent=2) + "\n").encode())
    return plan


def _write_samples(folder: Path, listed: Iterable[Sample], job: Job, progress: Progress) -> tuple[int, list[str]]:
    """Writes the samples and their shards' offsets; how many there are, and their labels.

    Eight bytes a sample are held, to find an id that occurs twice.
    """
    labels: set[str] = set()
    ids, offsets = array("Q"), array("Q")
    count = position = 0
    with growing(folder / "samples.jsonl", folder.parent / "staging") as file:
        for count, sample in enumerate(listed, start=1):
            if (count - 1) % job.shard_size == 0:
                offsets.append(position)
            if sample.label is not None and not sample.label.isascii():
                sample = replace(sample, label=readable(sample.label))
            line = json.dumps(vars(sample)).encode() + b"\n"
            position += file.write(line)
            ids.append(sample.number)
            if sample.label is not None:
                labels.add(sample.label)
            if count % _REPORT_EVERY == 0:
                progress("planning", count, 0)
        file.flush()
        _check_unique(np.asarray(ids, np.uint64), Path(file.name))
    write_whole(folder / "offsets.bin", np.asarray(offsets, "<u8").tobytes())
    progress("planning", count, count)
    return count, sorted(labels)


def _check_unique(ids: np.ndarray, file: Path) -> None:
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        number = int(np.flatnonzero(ids == twice[0])[1])
        with file.open("rb") as lines:
            line = next(line for place, line in enumerate(lines) if place == number)
        raise InputError(f"The input has the sample {readable(json.loads(line)['id'])} twice; each must be there once.")


def _anchored(job: Job) -> Job:
    """A job whose local paths do not depend on the folder that it is read in."""

    def full(path: str) -> str:
        return path if "://" in path else os.path.abspath(os.path.expanduser(path))

    def full_where_there(name: str) -> str:
        return full(name) if os.path.exists(os.path.expanduser(name)) else name

    model, clip = job.model, job.filters.clip
    places = {"name": full_where_there(model.name), "config": model.config and full_where_there(model.config)}
    changes = {
        "input": job.input.model_copy(update={"path": full(job.input.path)}),
        "output": job.output.model_copy(update={"path": full(job.output.path)}),
        "model": model.model_copy(update=places),
        "filters": job.filters.model_copy(update={"clip": clip and full(clip)}),
    }
    return job.model_copy(update=changes)


def _visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def _differences(old_job: Job, new_job: Job) -> str:
    """The keys in which two jobs differ, with both values; the folder may have been moved."""
    old, new = (_flat(each.model_dump(mode="json")) for each in (old_job, new_job))
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key) and key != "output.path")
    return ", ".join(f"{key} (was {old.get(key)!r}, is {new.get(key)!r})" for key in keys)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    if isinstance(tree, list):
        tree = {str(number): value for number, value in enumerate(tree)}
    if not isinstance(tree, dict):
        return {prefix: tree}
    parts = (_flat(value, f"{prefix}.{key}" if prefix else key) for key, value in tree.items())
    return {key: value for part in parts for key, value in part.items()}
