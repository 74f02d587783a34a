"""Datasets augmented by jobs of any size.

In the order in which a job passes through:

job       the job file                          engine    reading, drawing and writing at once
inputs/   a dataset's samples                   worker    the model, and what it draws of a batch
plan      a job on disk                         results   rows of what was drawn, after the filters (`verdicts`)
cost      what it will take                     shards/   a shard's files, written and marked as done
trial     a few samples of it                   summary/  metadata, card and statistics of the whole

and beside it: `tally` (how far it is), `again` (what failed), `pages/` (the gallery), `on_ray`, `command`. Planning and
Ray's driver import no JAX.
"""

from typing import TYPE_CHECKING

from rival_jax.lazily import importing

if TYPE_CHECKING:
    from rival_jax.jobs.again import retry
    from rival_jax.jobs.cost import Estimate, estimate
    from rival_jax.jobs.engine import run
    from rival_jax.jobs.job import Caption, Filters, Input, Job, Model, Output, Setting, read_job
    from rival_jax.jobs.on_ray import run_on_ray
    from rival_jax.jobs.pages.gallery import gallery
    from rival_jax.jobs.plan import Plan, make_plan, read_plan
    from rival_jax.jobs.summary.finalize import finalize
    from rival_jax.jobs.tally import Status, status
    from rival_jax.jobs.trial import pilot
    from rival_jax.jobs.worker import Worker

__all__ = [
    "Caption",
    "Estimate",
    "Filters",
    "Input",
    "Job",
    "Model",
    "Output",
    "Plan",
    "Setting",
    "Status",
    "Worker",
    "estimate",
    "finalize",
    "gallery",
    "make_plan",
    "pilot",
    "read_job",
    "read_plan",
    "retry",
    "run",
    "run_on_ray",
    "status",
]

_HOMES = {
    "Caption": "job",
    "Estimate": "cost",
    "Filters": "job",
    "Input": "job",
    "Job": "job",
    "Model": "job",
    "Output": "job",
    "Plan": "plan",
    "Setting": "job",
    "Status": "tally",
    "Worker": "worker",
    "estimate": "cost",
    "finalize": "summary.finalize",
    "gallery": "pages.gallery",
    "make_plan": "plan",
    "pilot": "trial",
    "read_job": "job",
    "read_plan": "plan",
    "retry": "again",
    "run": "engine",
    "run_on_ray": "on_ray",
    "status": "tally",
}

__getattr__ = importing(__name__, _HOMES)
"""The public names, imported when they are first asked for: planning needs no JAX."""
