"""Shards on a Ray cluster: one row of a Ray dataset is one shard, an actor owns a machine's accelerators.

The driver plans and waits and never imports JAX, which would take the accelerators from the actors beside it.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from rival_jax.errors import InputError, JobError
from rival_jax.jobs.plan import Plan, read_plan
from rival_jax.steps import Progress, silent


class _Actor:
    """A worker on its machine.

    What it cannot do it says in the row, and in all that follow: of what is raised, Ray shows a traceback.
    """

    def __init__(self, folder: str):
        self.folder, self.worker = folder, None
        self.failure = {"error": [""], "sentence": [""]}

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        from rival_jax.jobs.engine import run_shard
        from rival_jax.jobs.worker import Worker

        if self.failure["error"] == [""]:
            try:
                self.worker = self.worker or Worker.load(read_plan(self.folder))
                for shard in rows["shard"]:
                    if not self.worker.plan.stats_file(int(shard)).exists():  # a lost machine's row comes again
                        run_shard(self.worker, int(shard))
            except (InputError, JobError) as error:
                self.failure = {"error": [type(error).__name__], "sentence": [str(error)]}
        return self.failure


def run_on_ray(
    plan: Plan,
    *,
    workers: int | tuple[int, int] = 1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: dict[str, float] | None = None,
    progress: Progress = silent,
) -> int:
    """Runs what is left of a job on the Ray cluster at hand (or a local one); how many shards were run.

    Args:
        plan: in a folder that all machines see under one path.
        workers: how many actors, 1 or more, or at least and at most how many.
        num_cpus, num_gpus, resources: what each actor owns, as Ray names it: num_gpus=1, or {"TPU": chips of a host}.
        progress: called with (stage, shards done, shards in all).

    Raises InputError where Ray is not installed, and what a worker raised of InputError and JobError.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("Ray is not installed; it comes with pip install 'rival-jax[ray]'.")
    import ray
    from ray.data import ActorPoolStrategy

    pending = plan.pending()
    if not pending:
        return 0
    low, high = workers if isinstance(workers, tuple) else (workers, workers)
    owned = {"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": resources}
    rows = ray.data.from_items([{"shard": shard} for shard in pending], override_num_blocks=len(pending))
    done = rows.map_batches(
        _Actor,
        batch_size=1,
        compute=ActorPoolStrategy(min_size=low, max_size=max(low, min(high, len(pending)))),
        fn_constructor_args=(str(plan.folder),),
        **{name: value for name, value in owned.items() if value is not None},
    )
    failed, count = None, 0
    for row in done.iter_rows():  # to the end: Ray would complain of actors that are left in the middle of their work
        if row["error"]:
            failed = failed or row
        else:
            count += 1
            progress("shards", count, len(pending))
    if failed:
        raise {"InputError": InputError, "JobError": JobError}[failed["error"]](failed["sentence"])
    return count
