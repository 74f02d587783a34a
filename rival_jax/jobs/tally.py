"""`rival augment status`: how far a job is, from the marks of its finished shards alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import STATUSES
from rival_jax.wording import duration


@dataclass(frozen=True)
class Status:
    """How far a job is.

    shards_done, shards, samples_done, samples: how many are done, of how many.
    pictures: how many have which status, of all statuses.
    seconds: in which any worker was at work on what is done; nights off do not count.
    pictures_per_hour: how many were made in an hour of these; None while nothing is done.
    seconds_left: for the rest at that pace; None while nothing is done.
    """

    shards_done: int
    shards: int
    samples_done: int
    samples: int
    pictures: dict[str, int]
    seconds: float
    pictures_per_hour: float | None
    seconds_left: float | None


def status(plan: Plan) -> Status:
    """How far the job of `plan` is. Raises OSError where its records cannot be read."""
    done = plan.done()
    samples = plan.samples_in(*done)
    counts: Counter[str] = Counter()
    spans = []
    for shard in done:
        mark = plan.stats_file(shard)
        stats, end = json.loads(mark.read_bytes()), mark.stat().st_mtime
        counts.update(stats["statuses"])
        spans.append((end - stats["seconds"], end))
    seconds = _covered(spans)
    return Status(
        shards_done=len(done),
        shards=plan.num_shards,
        samples_done=samples,
        samples=plan.num_samples,
        pictures={name: counts[name] for name in STATUSES},
        seconds=seconds,
        pictures_per_hour=counts["success"] / seconds * 3600 if seconds else None,
        seconds_left=(plan.num_samples - samples) / samples * seconds if samples else None,
    )


def lines(status: Status) -> str:
    """A status for people."""
    counts = ", ".join(f"{count:,} {name}" for name, count in status.pictures.items() if count)
    done = f"{status.shards_done:,} of {status.shards:,} shards, {status.samples_done:,} of {status.samples:,} samples"
    text = [f"done      {done}", f"pictures  {counts or 'none yet'}"]
    if status.pictures_per_hour is not None:
        text.append(f"speed     {status.pictures_per_hour:,.0f} pictures an hour, {duration(status.seconds)} of work")
    if status.seconds_left:
        text.append(f"left      about {duration(status.seconds_left)}")
    return "\n".join(text)


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of what lies in any of the spans (start, end)."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
