"""`rival augment finalize`: what the shards that are done come to, in a few files for readers and people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from rival_jax.jobs.durable import growing, write_whole
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import STATUSES, Row
from rival_jax.jobs.summary.card import card
from rival_jax.jobs.summary.scores import Scores


def finalize(plan: Plan) -> dict[str, Any]:
    """Writes data/metadata.jsonl (image folders only: all pictures that were made), errors.jsonl (all others),
    statistics.json and README.md, the dataset's card; the statistics.

    From the shards of `plan` that are done, in their order; it can be called at any time and again, and the same shards
    give the same bytes. Raises OSError where a file cannot be read or written.
    """
    done = sorted(plan.done())
    statuses: Counter[str] = Counter()
    labels: dict[str, Counter[str]] = {}
    scores, models = Scores(), set()
    with ExitStack() as stack:
        errors = stack.enter_context(growing(plan.folder / "errors.jsonl", plan.staging))
        metadata = None
        if plan.job.output.format == "folder":
            metadata = stack.enter_context(growing(plan.data / "metadata.jsonl", plan.staging))
        for line in _lines(plan, done):
            row = Row(**json.loads(line))
            file = metadata if row.status == "success" else errors
            if file is not None:
                file.write(line)
            statuses[row.status] += 1
            if row.label is not None:
                labels.setdefault(row.label, Counter())[row.status] += 1
            scores.add(row)
            models.add(row.model)
    statistics = {
        "samples": plan.num_samples,
        "shards": plan.num_shards,
        "shards_done": len(done),
        "pictures": _counts(statuses),
        "labels": {label: _counts(labels[label]) for label in sorted(labels)},
        "scores": scores.summary(),
        "models": sorted(models),
        "seconds": round(sum(json.loads(plan.stats_file(shard).read_bytes())["seconds"] for shard in done), 3),
    }
    text = json.dumps(statistics, indent=2, ensure_ascii=False) + "\n"
    write_whole(plan.folder / "statistics.json", text.encode())
    write_whole(plan.folder / "README.md", card(plan, statistics).encode())
    return statistics


def _lines(plan: Plan, shards: list[int]) -> Iterator[bytes]:
    """The rows of shards, as they are in their records."""
    for shard in shards:
        with plan.rows_file(shard).open("rb") as file:
            yield from file


def _counts(counts: Counter[str]) -> dict[str, int]:
    """How many pictures have which status, of those that occur."""
    return {status: counts[status] for status in STATUSES if counts[status]}
