"""`rival augment pilot`: a few samples of a job and the page to judge them by, before all of it is run."""

from __future__ import annotations

import shutil
from pathlib import Path

from rival_jax.jobs.engine import run
from rival_jax.jobs.pages.gallery import gallery
from rival_jax.jobs.plan import Plan, subset
from rival_jax.jobs.worker import Worker
from rival_jax.steps import Progress, silent


def pilot(plan: Plan, count: int = 8, *, progress: Progress = silent) -> Path:
    """Runs a job on a few of its samples, evenly chosen, in its folder `pilot`; the gallery's page.

    A former pilot is replaced.

    Args:
        plan: the job's.
        count: 1 or more, of samples at most.
        progress: called with (stage, pictures done, pictures in all).

    Raises what `Worker.load` and `run` raise.
    """
    folder = plan.folder / "pilot"
    shutil.rmtree(folder, ignore_errors=True)
    some = subset(plan, folder, count)
    run(some, Worker.load(some), progress=progress)
    return gallery(some)
