"""Attention kernels: all the same function, whatever is shared and however long; what they hold; which is chosen."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from rival_jax.kernels import attention, choose, chunked
from rival_jax.kernels.pallas import flash

KERNELS = {"chunked": partial(attention, backend="chunked"), "pallas": partial(flash, interpret=True)}
SHAPES = {  # groups, rows, queries, shared keys, own keys, heads, width
    "shared": (2, 3, 200, 150, 0, 2, 8),
    "own": (2, 3, 200, 0, 333, 2, 8),
    "both": (1, 2, 700, 700, 650, 2, 40),
    "text": (1, 4, 96, 0, 77, 1, 160),
    "one": (1, 1, 1, 1, 1, 1, 8),
}


@pytest.fixture(scope="module", params=SHAPES)
def inputs(request):
    g, r, s, m, n, h, k = SHAPES[request.param]
    rng = np.random.default_rng(0)
    q, *contexts = (
        rng.standard_normal(shape, np.float32)
        for shape in ((g, r, s, h, k), (g, m, h, k), (g, m, h, k), (g, r, n, h, k), (g, r, n, h, k))
    )
    return q, tuple(contexts[:2]) if m else None, tuple(contexts[2:]) if n else None


def exactly(q, shared, own):
    """The definition, in float64."""
    rows = q.shape[1]
    contexts = []
    for side in range(2):
        parts = [np.repeat(shared[side][:, None], rows, axis=1)] if shared else []
        parts += [own[side]] if own else []
        contexts.append(np.concatenate(parts, axis=2).astype(np.float64))
    scores = np.einsum("grshk,grmhk->grhsm", q.astype(np.float64), contexts[0]) * q.shape[-1] ** -0.5
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("grhsm,grmhk->grshk", weights / weights.sum(axis=-1, keepdims=True), contexts[1])


def error(found, expected):
    return np.linalg.norm(np.asarray(found, np.float64) - expected) / np.linalg.norm(expected)


@pytest.fixture
def short_chunks(monkeypatch):
    """Several chunks of queries and keys, the last ones shorter."""
    monkeypatch.setattr(chunked, "_SCORES", 2**12)


@pytest.mark.parametrize("kernel", ["dense", *KERNELS])
def test_against_the_definition(inputs, kernel, short_chunks):
    attend = KERNELS.get(kernel, partial(attention, backend=kernel))
    assert error(attend(*inputs), exactly(*inputs)) < 2e-6


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_sums_are_float32(inputs, kernel, dtype, short_chunks):
    """In 16 bits the result is as near as rounding the inputs and the weights allows."""
    rounded = jax.tree.map(lambda x: jnp.asarray(x, dtype), inputs)
    expected = exactly(*jax.tree.map(lambda x: np.asarray(x, np.float32), rounded))
    out = KERNELS[kernel](*rounded)
    assert out.dtype == dtype and error(out, expected) < float(jnp.finfo(dtype).eps)


def test_large_scores_do_not_overflow(inputs, short_chunks):
    q, shared, own = inputs
    for attend in KERNELS.values():
        assert error(attend(100 * q, shared, own), exactly(100 * q, shared, own)) < 1e-4


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("width", [40, 64, 160])
@pytest.mark.parametrize("length", [77, 1024, 2240])
def test_the_kernel_is_one_for_tpus(width, length, dtype):
    """It lowers for a TPU, which judges its blocks and operations; that one runs it nobody says here."""
    shapes = ((1, 4, length, 8, width), ((1, length, 8, width),) * 2, ((1, 4, length, 8, width),) * 2)
    shapes = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s, dtype), shapes, is_leaf=lambda s: s and isinstance(s[0], int)
    )
    with jax.default_matmul_precision("high"):  # what 16-bit pipelines say
        exported = export.export(jax.jit(flash), platforms=["tpu"])(*shapes)
    assert "tpu_custom_call" in exported.mlir_module()


def naive(q, shared, own):
    """The shared context copied for each row, and JAX's own attention."""
    keys, values = (
        jnp.concatenate([jnp.repeat(a[:, None], q.shape[1], axis=1), b], axis=2)
        for a, b in zip(shared, own, strict=True)
    )
    return jax.nn.dot_product_attention(q[0], keys[0], values[0], implementation="xla")[None]


def test_what_chunks_hold():
    """4096 tokens, 16 rows, own and shared context: a 32nd of what all scores at once take, at the most."""
    shapes = ((1, 16, 4096, 8, 40), ((1, 4096, 8, 40),) * 2, ((1, 16, 4096, 8, 40),) * 2)
    shapes = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s, jnp.float32), shapes, is_leaf=lambda s: s and isinstance(s[0], int)
    )
    ways = partial(attention, backend="chunked"), naive
    held = (jax.jit(way).lower(*shapes).compile().memory_analysis() for way in ways)
    few, all_scores = (analysis.temp_size_in_bytes for analysis in held)
    print(f"{few / 2**20:.0f} MiB against {all_scores / 2**20:.0f} MiB")
    assert few * 32 <= all_scores


class Device:
    def __init__(self, platform, capability="0"):
        self.platform, self.compute_capability = platform, capability


LONG = {"rows": 16, "queries": 4096, "keys": 8192, "heads": 8}


@pytest.mark.parametrize(
    ("device", "dtype", "width", "expected"),
    [
        (Device("gpu", "9.0"), "bfloat16", 40, "cudnn"),
        (Device("gpu", "9.0"), "float16", 160, "cudnn"),
        (Device("gpu", "8.0"), "bfloat16", 160, "chunked"),
        (Device("gpu", "8.0"), "bfloat16", 128, "cudnn"),
        (Device("gpu", "7.5"), "float16", 40, "chunked"),
        (Device("gpu", "gfx90a"), "bfloat16", 40, "chunked"),
        (Device("gpu", "9.0"), "bfloat16", 36, "chunked"),
        (Device("gpu", "9.0"), "float32", 40, "chunked"),
        (Device("gpu", "10.0"), "bfloat16", 160, "chunked"),
        (Device("tpu"), "bfloat16", 40, "pallas"),
        (Device("tpu"), "float32", 512, "chunked"),
        (Device("cpu"), "float32", 40, "chunked"),
    ],
)
def test_choice(device, dtype, width, expected):
    """For long rows; of text every device makes all scores at once."""
    assert choose(dtype, **LONG, width=width, device=device) == expected
    assert choose(dtype, **LONG | {"keys": 77}, width=width, device=device) == "dense"


def test_short_rows_on_a_cpu():
    assert choose("float32", rows=9, queries=144, keys=288, heads=4, width=16, device=Device("cpu")) == "dense"
