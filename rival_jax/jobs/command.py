"""`rival augment`: its actions, their flags, and what each says and prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import ValidationError
from rich.console import Console
from tyro.conf import Positional, arg

from rival_jax.errors import InputError
from rival_jax.jobs.job import PRESETS, Job, read_job, sentence
from rival_jax.jobs.plan import Plan, make_plan, read_plan
from rival_jax.jobs.rows import FAILED
from rival_jax.progress import shown_on

Say = Callable[[str], None]
Keys = Annotated[Job, arg(name="")]
Folder = Annotated[Positional[Path], arg(metavar="FOLDER")]


@dataclass(frozen=True)
class PlanAction:
    """Say what a job will make and what it will take; nothing is drawn.

    For example: rival augment plan job.toml
    """

    job: Keys


@dataclass(frozen=True)
class PilotAction:
    """Run a job on a few of its samples and show them on a page.

    For example: rival augment pilot job.toml --samples 8
    """

    job: Keys
    samples: int = 8
    """How many, evenly chosen."""


@dataclass(frozen=True)
class RunAction:
    """Run a job, or go on with one that was stopped. Flags win over the job file.

    For example: rival augment run job.toml --shard-index 0 --shard-count 4
    """

    job: Keys
    shard_index: int = 0
    """Which of the workers this is, from 0: of a Slurm array, say. All write into one folder."""
    shard_count: int = 1
    """How many workers there are."""
    ray: bool = False
    """Run on a Ray cluster (extra `ray`)."""
    workers: int = 1
    """On Ray: how many actors, each with a model of its own."""
    num_gpus: float = 0
    """On Ray: GPUs of an actor."""
    num_tpus: float = 0
    """On Ray: TPU chips of an actor; all of a host."""


@dataclass(frozen=True)
class StatusAction:
    """Say how far a job is."""

    folder: Folder
    """What the job writes to."""
    live: bool = False
    """Again every few seconds, until the job is done."""


@dataclass(frozen=True)
class RetryAction:
    """Make again what failed in finished shards, or what is gone."""

    folder: Folder
    """What the job writes to."""


@dataclass(frozen=True)
class FinalizeAction:
    """Write metadata, dataset card and statistics of all finished shards. A whole `run` does it by itself."""

    folder: Folder
    """What the job writes to."""


@dataclass(frozen=True)
class GalleryAction:
    """Write a page that shows a job: exemplars beside their variations, verdicts, scores, failures."""

    folder: Folder
    """What the job writes to."""


Action = PlanAction | PilotAction | RunAction | StatusAction | RetryAction | FinalizeAction | GalleryAction
_ACTIONS: dict[str, type] = {
    "plan": PlanAction,
    "pilot": PilotAction,
    "run": RunAction,
    "status": StatusAction,
    "retry": RetryAction,
    "finalize": FinalizeAction,
    "gallery": GalleryAction,
}
_EVERY = 5.0
"""Seconds between two looks at a job."""


@dataclass(frozen=True)
class Augment:
    """Make variations of a whole dataset: plan, pilot, run, status, retry, finalize, gallery.

    For example: rival augment run job.toml
    """


def parse(arguments: list[str]) -> Action:
    """The action with its flags; those of a job win over the job file (TOML, or the job.json of an earlier one)."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    kind = _ACTIONS.get(name)
    if kind not in (PlanAction, PilotAction, RunAction):
        description = "Variations of a whole dataset, by jobs that survive anything."
        return tyro.extras.subcommand_cli_from_dict(
            _ACTIONS, args=arguments, prog="rival augment", description=description
        )
    prog, job = f"rival augment {name}", None
    if rest and not rest[0].startswith("-"):
        file, *rest = rest
        job = read_plan(file).job if Path(file).is_dir() else read_job(file)
    elif files := [word for word in rest if word.endswith((".toml", ".json"))]:
        raise InputError(f"The job file comes first, as in {prog} {files[0]} ...; flags follow.")
    try:
        if job is None:
            action = tyro.cli(kind, args=rest, prog=prog)
        else:
            action = tyro.cli(kind, args=rest, prog=prog, default=kind(job=job))
        _check_counts(action)
        return _with_presets(action, job, {word.split("=")[0].replace("_", "-") for word in rest})
    except ValidationError as error:
        raise InputError(sentence(error, "The job")) from error


def _check_counts(action: Any) -> None:
    for name in ("samples", "shard_count", "workers"):
        if (value := getattr(action, name, 1)) < 1:
            raise InputError(f"{name} is {value}, but must be at least 1.")
    if isinstance(action, RunAction) and not 0 <= action.shard_index < action.shard_count:
        raise InputError(
            f"shard_index is {action.shard_index}, but must be from 0 to {action.shard_count - 1} (shard_count - 1)."
        )


def _with_presets(action: Any, given: Job | None, flags: set[str]) -> Any:
    """A preset that was named by a flag decides what no other flag did."""
    settings = []
    for number, setting in enumerate(action.job.recipe):
        before = given.recipe[number] if given else type(setting)()
        if setting.preset != before.preset:
            wanted = PRESETS[setting.preset].items()
            left = {k: value for k, value in wanted if f"--recipe.{number}.{k.replace('_', '-')}" not in flags}
            setting = setting.model_copy(update=left)
        settings.append(setting)
    return replace(action, job=action.job.model_copy(update={"recipe": tuple(settings)}))


def perform(action: Action, console: Console, say: Say) -> None:
    """Does what was asked for; results on stdout, everything else by `say`."""
    with shown_on(console) as progress:
        if isinstance(action, StatusAction):
            _watch(read_plan(action.folder), action.live)
        elif isinstance(action, RetryAction):
            from rival_jax.jobs.again import lost, retry
            from rival_jax.jobs.worker import Worker

            plan = read_plan(action.folder)
            if lost(plan):
                say(f"{retry(plan, Worker.load(plan), progress=progress)} samples were tried again.")
            _finish(plan, say)
        elif isinstance(action, FinalizeAction):
            _finish(read_plan(action.folder), say)
        elif isinstance(action, GalleryAction):
            from rival_jax.jobs.pages.gallery import gallery

            print(gallery(read_plan(action.folder)), flush=True)
        elif isinstance(action, PlanAction):
            from rival_jax.jobs.cost import describe, estimate

            print(describe(estimate(make_plan(action.job, progress))), flush=True)
        elif isinstance(action, PilotAction):
            from rival_jax.jobs.trial import pilot

            print(pilot(make_plan(action.job, progress), action.samples, progress=progress), flush=True)
        else:
            _run(action, progress, say)


def _run(action: RunAction, progress, say: Say) -> None:
    plan = make_plan(action.job, progress)
    if not plan.pending(action.shard_index, action.shard_count):
        planned = f"the {plan.num_samples:,} samples that the job was planned with"
        say(f"Nothing is left to do for {planned}; more of them, or others, need a new output folder.")
    elif action.ray:
        from rival_jax.jobs.on_ray import run_on_ray

        chips = {"TPU": action.num_tpus} if action.num_tpus else None
        gpus = action.num_gpus or None
        run_on_ray(plan, workers=action.workers, num_gpus=gpus, resources=chips, progress=progress)
    else:
        from rival_jax.jobs.engine import run
        from rival_jax.jobs.worker import Worker

        worker = Worker.load(plan)
        run(plan, worker, index=action.shard_index, count=action.shard_count, progress=progress)
    if plan.pending():
        say(f"This worker is done; {len(plan.pending())} shards are left to others.")
    else:
        _finish(plan, say)


def _finish(plan: Plan, say: Say) -> None:
    """Writes what is said of the whole dataset, and says how it went."""
    from rival_jax.jobs.summary.finalize import finalize
    from rival_jax.jobs.tally import lines, status

    finalize(plan)
    now = status(plan)
    print(lines(now), flush=True)
    if failed := sum(now.pictures[name] for name in FAILED):
        say(f"{failed:,} pictures failed (errors.jsonl says why); rival augment retry {plan.folder} tries them again.")
    say(f"{plan.folder} has the dataset in data/, its card README.md, statistics.json and errors.jsonl.")


def _watch(plan: Plan, live: bool) -> None:
    from rival_jax.jobs.tally import lines, status

    while True:
        print(lines(status(plan)), flush=True)
        if not live or not plan.pending():
            return
        time.sleep(_EVERY)
