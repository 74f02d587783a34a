"""One resumable training loop for every network: Adam, averaged weights, Orbax checkpoints, a loss curve."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp

from rival_jax.training.devices import replicate, split_rows
from rival_jax.training.recipe import Phase

Params = Any
Batch = dict[str, Any]

_REPORT, _SAVE = 50, 250


def optimizer(phase: Phase) -> optax.GradientTransformation:
    """AdamW: 100 steps of warm-up, or a fifth of all, flat to half-way, then linear to zero; gradients clipped to norm
    1."""
    half, warm = phase.steps // 2, min(100, phase.steps // 5)
    schedule = optax.join_schedules(
        [
            optax.linear_schedule(0.0, phase.learning_rate, warm),
            optax.constant_schedule(phase.learning_rate),
            optax.linear_schedule(phase.learning_rate, 0.0, phase.steps - half),
        ],
        [warm, half],
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b1=0.9, b2=0.99, weight_decay=1e-4))


def fit(
    params: Params,
    loss: Callable[..., jax.Array],
    batch: Callable[[np.random.Generator], Batch],
    phase: Phase,
    directory: Path,
    *,
    seed: int,
    report: Callable[[int, int, float], None],
    frozen: tuple[Any, ...] = (),
) -> Params:
    """Trains `params`, each batch's rows spread over the devices, and returns their moving average.

    A killed run goes on from the last checkpoint in `directory` and ends on the same numbers: the batch and the noise
    of a step depend on (seed, step) alone. `loss.csv` there holds the curve.

    Args:
        loss: (params, batch, key, *frozen) -> scalar.
        batch: draws one batch with the generator it is given.
        report: called with step, steps and the mean loss since the last report.
        frozen: networks and the like that the loss needs and nothing changes.
    """
    adam = optimizer(phase)

    @jax.jit
    def update(state, batch, key, frozen):
        value, grads = jax.value_and_grad(loss)(state["params"], batch, key, *frozen)
        updates, moments = adam.update(grads, state["moments"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        decay = jnp.minimum(phase.ema, (1 + state["step"]) / (10 + state["step"]))
        average = optax.incremental_update(params, state["average"], 1 - decay)
        return {"params": params, "moments": moments, "average": average, "step": state["step"] + 1}, value

    state = {
        "params": params,
        "moments": adam.init(params),
        "average": jax.tree.map(jnp.copy, params),
        "step": jnp.zeros((), jnp.int32),
    }
    state, frozen = replicate((state, frozen), phase.batch)
    directory.mkdir(parents=True, exist_ok=True)
    with ocp.CheckpointManager(directory.absolute(), options=ocp.CheckpointManagerOptions(max_to_keep=1)) as manager:
        if manager.latest_step() is not None:
            state = manager.restore(manager.latest_step(), args=ocp.args.StandardRestore(state))
        _forget(directory / "loss.csv", int(state["step"]))
        losses = []
        for step in range(int(state["step"]), phase.steps):
            drawn = split_rows(batch(np.random.default_rng([seed, step])), phase.batch)
            state, value = update(state, drawn, jax.random.fold_in(jax.random.key(seed), step), frozen)
            losses.append(value)
            if (step + 1) % _REPORT == 0 or step + 1 == phase.steps:
                mean = float(np.mean(jax.device_get(losses)))
                _log(directory / "loss.csv", step + 1, mean)
                report(step + 1, phase.steps, mean)
                losses = []
            if (step + 1) % _SAVE == 0 or step + 1 == phase.steps:
                manager.save(step + 1, args=ocp.args.StandardSave(state))
        manager.wait_until_finished()
    return jax.tree.map(jnp.asarray, jax.device_get(state["average"]))


def _forget(path: Path, step: int) -> None:
    """Leaves out of a curve what a killed run wrote after its last checkpoint, and half a line."""
    if path.exists():
        lines = [line.split(",") for line in path.read_text().splitlines()]
        kept = [f"{number},{value}\n" for number, value in (x for x in lines if len(x) == 2) if int(number) <= step]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(kept))
        temporary.replace(path)


def _log(path: Path, step: int, value: float) -> None:
    with path.open("a", newline="") as file:
        csv.writer(file).writerow([step, f"{value:.6f}"])
