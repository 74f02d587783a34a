"""How much a program will hold beyond its arguments and results, from what it asks for, before it is compiled.

An estimate of what XLA's buffer assignment arrives at: results of products, convolutions, reductions, joins and loops
are kept until their last use; what is elementwise is computed where it is used, but an operand of a product or
convolution is written out for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

_WRITTEN = frozenset(
    ("dot_general", "conv_general_dilated", "reduce_sum", "reduce_max", "concatenate", "gather")
    + ("sort", "scan", "while", "cond", "pallas_call")
)
"""Operations whose results are written out."""
_READS_WRITTEN = frozenset(["dot_general", "conv_general_dilated", "pallas_call"])
"""Operations whose operands are written out for them."""


def temporary_bytes(function: Callable, *args: Any, **kwargs: Any) -> int:
    """Bytes held at the worst moment besides arguments and results; nothing is computed.

    args, kwargs: arrays or their `jax.ShapeDtypeStruct`.
    """
    jaxpr = jax.make_jaxpr(function)(*args, **kwargs).jaxpr
    if len(jaxpr.eqns) == 1 and jaxpr.eqns[0].primitive.name in ("jit", "pjit"):
        jaxpr = jaxpr.eqns[0].params["jaxpr"].jaxpr  # of a program that was traced before the very same one
    return _peak(jaxpr)


@dataclass(eq=False)
class _Value:
    """One array of a program. `kept`: what must be there when it is read; itself, if it is written out."""

    nbytes: int
    kept: frozenset[_Value] = frozenset()
    is_written: bool = False


@dataclass
class _Step:
    """One operation."""

    name: str
    inputs: list[_Value]
    outputs: list[_Value]
    inside: int


@lru_cache(maxsize=256)
def _peak(jaxpr: Jaxpr) -> int:
    names: dict[Any, _Value] = {}
    for var in (*jaxpr.invars, *jaxpr.constvars):
        names[var] = _Value(_nbytes(var), is_written=True)  # an argument: there anyway, so nothing is kept for it
    steps = list(_steps(jaxpr, names))
    results = [_named(names, var) for var in jaxpr.outvars]
    last: dict[_Value, int] = {}
    for index, step in enumerate(steps):
        below = frozenset().union(*(value.kept for value in step.inputs))
        for value in step.outputs:
            value.is_written = step.name in _WRITTEN
            value.kept = frozenset([value]) if value.is_written else below
        last |= dict.fromkeys(below.union(*(value.kept for value in step.outputs)), index)
    last |= dict.fromkeys(frozenset().union(*(value.kept for value in results)), len(steps))
    ending: dict[int, int] = {}
    for value, index in last.items():
        ending[index] = ending.get(index, 0) + value.nbytes
    live = peak = 0
    for index, step in enumerate(steps):
        live += sum(value.nbytes for value in step.outputs if value.is_written)
        written = sum(value.nbytes for value in step.inputs if not value.is_written)
        peak = max(peak, live + step.inside + (written if step.name in _READS_WRITTEN else 0))
        live -= ending.get(index, 0)
    return max(0, peak - sum(value.nbytes for value in set(results) if value.is_written))


def _steps(jaxpr: Jaxpr, names: dict[Any, _Value]) -> Iterator[_Step]:
    """The operations in order, those of nested programs among them."""
    for equation in jaxpr.eqns:
        inputs = [_named(names, var) for var in equation.invars]
        name = equation.primitive.name
        inner: list[Any] = [
            getattr(value, "jaxpr", value)
            for value in equation.params.values()
            if isinstance(value, Jaxpr | ClosedJaxpr) and name != "pallas_call"  # which holds what fits on the chip
        ]
        if inner and name not in _WRITTEN:
            inside = dict(zip(inner[0].invars, inputs, strict=True))
            inside |= {var: _Value(_nbytes(var), is_written=True) for var in inner[0].constvars}
            yield from _steps(inner[0], inside)
            outputs = [_named(inside, var) for var in inner[0].outvars]
        else:
            outputs = [_Value(_nbytes(var)) for var in equation.outvars]
            yield _Step(name, inputs, outputs, max(map(_peak, inner), default=0))
        names |= dict(zip(equation.outvars, outputs, strict=True))


def _named(names: dict[Any, _Value], var: Any) -> _Value:
    return _Value(0, is_written=True) if isinstance(var, Literal) else names[var]


def _nbytes(var: Any) -> int:
    aval = var.aval
    return math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 0)
