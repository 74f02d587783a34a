"""`rival augment retry`: only what failed or was lost is made again."""

from __future__ import annotations

import json
import tarfile
import time

from rival_jax.jobs.engine import made_again
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import FAILED, Row, read_rows
from rival_jax.jobs.shards import publishing
from rival_jax.jobs.worker import Worker
from rival_jax.steps import Progress, silent


def lost(plan: Plan) -> dict[int, set[str]]:
    """Of finished shards, the keys of the samples that failed or whose pictures are gone."""
    found = {}
    for shard in sorted(plan.done()):
        keys = {
            row.key for row in read_rows(plan.rows_file(shard)) if row.status in FAILED or _is_gone(plan, shard, row)
        }
        if keys:
            found[shard] = keys
    return found


def retry(plan: Plan, worker: Worker, *, progress: Progress = silent) -> int:
    """Makes again what failed or was lost in finished shards; how many samples were tried.

    A shard stays what it was until its replacement is written. One whose replacement is interrupted while it gets its
    names counts as not done, and `run` makes it anew.

    Args:
        plan: the job's.
        worker: what draws, loaded from this plan.
        progress: called with (stage, shards done, shards in all).

    Raises OSError where nothing can be written, and JobError where memory does not suffice.
    """
    again = lost(plan)
    for done, (shard, keys) in enumerate(again.items(), start=1):
        start = time.monotonic()
        order = {sample.key: place for place, sample in enumerate(plan.samples(shard))}
        try:
            old = publishing.read(plan, shard, keys)
        except (OSError, ValueError, tarfile.TarError):  # the one file of all pictures is damaged or gone
            old, keys = publishing.Shard([], {}), set(order)
        new = made_again(worker, shard, keys)
        rows = sorted([*old.rows, *new.rows], key=lambda row: order[row.key])  # stable: variations keep their order
        seconds = json.loads(plan.stats_file(shard).read_bytes())["seconds"] + time.monotonic() - start
        publishing.publish(plan, shard, publishing.Shard(rows, old.files | new.files), seconds, replace=True)
        progress("shards", done, len(again))
    return sum(map(len, again.values()))


def _is_gone(plan: Plan, shard: int, row: Row) -> bool:
    """Whether a picture was made but its file is no longer there."""
    if row.file_name is None:
        return False
    file = publishing.home(plan, shard, row)
    return not file.exists() or file.stat().st_size == 0
