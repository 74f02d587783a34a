"""The estimate of a program's memory against what XLA's buffer assignment measures."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax import inversion, sampling
from rival_jax.kernels.pallas import flash
from rival_jax.memory import temporary_bytes
from rival_jax.models.network import Network
from rival_jax.parts import plans
from rival_jax.stages import Stage


@pytest.fixture(scope="module")
def unet():
    """The embedded model's, in shapes alone, so that it can be lowered for one device."""
    plan = plans("tiny", "float32")[2]["unet"]
    return Network(plan.graphdef, plan.state, plan.config)


def measured(program, *arguments):
    options = program.keywords
    return program.func.lower(*arguments, **options).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(
    ("attention", "variations", "backend"),
    [("replace", 1, None), ("replace", 8, None), ("concat", 1, None), ("concat", 8, None), ("concat", 4, "chunked")],
)
def test_generation(unet, attention, variations, backend):
    stage = Stage(attention, "noise", 1, backend)
    step = sampling.one_step(unet, (12, 12, 4), (24, 128), stage, variations)
    estimate, found = temporary_bytes(*step), measured(*step)
    print(f"{estimate / 2**20:.2f} MiB, measured {found / 2**20:.2f}")
    assert 0.8 <= estimate / found <= 1.2


def test_inversion(unet):
    step = inversion.one_step(unet, (12, 12, 4), (24, 128), keep=False, backend=None)
    assert 0.8 <= temporary_bytes(*step) / measured(*step) <= 1.2


def test_what_is_written_is_counted():
    """Two products of which one is alive while the other is made; elementwise work between them costs nothing."""
    square = jax.ShapeDtypeStruct((256, 256), np.float32)

    def chain(x):
        y = jnp.tanh(x @ x)
        return (y @ x).sum()

    assert temporary_bytes(chain, square) == pytest.approx(3 * square.size * 4, rel=0.01)
    assert temporary_bytes(lambda x: jnp.sin(x) * 2, square) == 0


def test_a_kernel_for_tpus_holds_what_it_is_given_and_gives():
    """Only estimated: it cannot be compiled here. A product before it has to be written out for it."""
    q, kv = (jax.ShapeDtypeStruct((1, 2, 256, 2, 64), np.float32) for _ in range(2))
    estimate = temporary_bytes(lambda q, k: flash(jnp.tanh(q), None, (k, k)).sum(), q, kv)
    assert 2 * q.size * 4 <= estimate <= 6 * q.size * 4


def test_loops_hold_one_turn():
    square = jax.ShapeDtypeStruct((64, 64), np.float32)

    def loop(x, length):
        return jax.lax.scan(lambda c, _: (jnp.sin(c @ c), None), x, None, length=length)[0]

    few, many = (temporary_bytes(partial(loop, length=length), square) for length in (2, 200))
    assert few == many > 0
