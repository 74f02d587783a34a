"""The training loop: a killed run ends on the same numbers as one that was left alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax.training.loop import fit
from rival_jax.training.recipe import Phase


@pytest.fixture(autouse=True)
def _standard_promotion():
    """optax multiplies floats by whole numbers of steps."""
    with jax.numpy_dtype_promotion("standard"):
        yield


PHASE = Phase(steps=600, batch=4, learning_rate=0.05, ema=0.9)
TARGET = np.arange(3, dtype=np.float32)


def run(directory, report=lambda *_: None):
    def loss(params, batch, key):
        noise = 0.01 * jax.random.normal(key, (3,))
        return jnp.square(params["x"] + noise - batch["rows"].mean(axis=0)).sum()

    def batch(rng):
        return {"rows": TARGET + rng.normal(0, 0.1, (PHASE.batch, 3)).astype(np.float32)}

    return fit({"x": jnp.zeros(3)}, loss, batch, PHASE, directory, seed=3, report=report)


class Killed(Exception):
    pass


def test_a_killed_run_ends_on_the_same_numbers(tmp_path):
    """Weights and curve, whether it was killed or not; and a finished run has nothing left to do."""

    def kill(step, steps, loss):
        if step == 450:
            raise Killed

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", kill)
    resumed = run(tmp_path / "killed")
    np.testing.assert_array_equal(whole["x"], resumed["x"])
    curves = [(tmp_path / name / "loss.csv").read_text().splitlines() for name in ("whole", "killed")]
    steps = [int(line.split(",")[0]) for line in curves[0]]
    assert curves[0] == curves[1] and steps == list(range(50, 601, 50))

    def never(*_):
        raise AssertionError("a finished run took a step")

    np.testing.assert_array_equal(run(tmp_path / "killed", never)["x"], whole["x"])


def test_it_learns(tmp_path):
    np.testing.assert_allclose(run(tmp_path)["x"], TARGET, atol=0.05)
