"""Floating-point operations, counted from what programs ask for: matrix products and convolutions.

A product and its sum are two operations. Taps of a convolution that fall on its padding are left out, as by XLA.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from rival_jax import inversion, sampling
from rival_jax.attend import Plain
from rival_jax.checkpoint import StableDiffusion
from rival_jax.codec import decode, encode
from rival_jax.kernels import KeysValues, attention
from rival_jax.models.attention import Attention
from rival_jax.stages import Stage


def count(function: Callable, *args: Any, **kwargs: Any) -> int:
    """Operations of `function` on arrays, or on their `jax.ShapeDtypeStruct`; nothing is computed.

    Attention is to be counted with the "dense" kernel; the others do the same work where nobody can see it.
    """
    return _count(jax.make_jaxpr(function)(*args, **kwargs).jaxpr)


@dataclass(frozen=True)
class Work:
    """Operations for one exemplar: of a step of either kind with all its variations, of inversion, of one picture
    through either half of the autoencoder."""

    inversion_step: int
    replace_step: int
    concat_step: int
    encode: int
    decode: int

    def run(self, replace_steps: int, concat_steps: int, num_variations: int) -> int:
        """Photo in, variations out."""
        generation = replace_steps * self.replace_step + concat_steps * self.concat_step
        inversion = (replace_steps + concat_steps) * self.inversion_step
        return self.encode + inversion + generation + num_variations * self.decode


def of_ours(pipe: StableDiffusion, num_variations: int, height: int, width: int, kept: bool = False) -> Work:
    """What this package does; `kept` is `cache_reference`."""
    shape, text = pipe.latent_shape(height, width), pipe.text_shape

    def step(stage: Stage) -> int:
        return count(*sampling.one_step(pipe.unet, shape, text, stage, num_variations))

    ascent = count(*inversion.one_step(pipe.unet, shape, text, keep=False, backend="dense"))
    saved = ascent if kept else 0
    pixels, latents = _rows(1, height, width, 3, dtype=np.uint8), _rows(1, 1, *shape)
    return Work(
        ascent,
        step(Stage("replace", "noise", 1, "dense")) - saved,
        step(Stage("concat", "none", 1, "dense")) - saved,
        count(encode, pipe.vae, pixels),
        count(decode, pipe.vae, latents),
    )


def of_authors(pipe: StableDiffusion, num_variations: int, height: int, width: int) -> Work:
    """What the authors' program does: for every variation anew four rows, two of them references; prompts read in
    every step; in concat references read themselves twice."""
    shape, text = pipe.latent_shape(height, width), pipe.text_shape

    def call(rows: int, attend) -> int:
        def forward(unet, x, timesteps, text):
            return unet.module()(x, timesteps, text, attend=attend)

        return count(forward, pipe.unet, _rows(rows, *shape), _rows(rows, dtype=np.int32), _rows(rows, *text))

    pixels, latents = _rows(1, height, width, 3, dtype=np.uint8), _rows(1, 1, *shape)
    return Work(
        call(1, Plain("dense")),
        num_variations * call(4, Plain("dense")),
        num_variations * call(4, _Twice()),
        count(encode, pipe.vae, pixels),
        count(decode, pipe.vae, latents),
    )


@dataclass(frozen=True)
class _Twice:
    """Every row, the first of a pair too, reads the first of its pair and itself."""

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None) -> jax.Array:
        if text is not None:
            return Plain("dense")(layer, x_bsd, text)
        pairs = x_bsd.reshape(-1, 2, *x_bsd.shape[1:])
        keys, values = layer.kv(pairs)
        read = attention(layer.q(pairs), (keys[:, 0], values[:, 0]), (keys, values), backend="dense")
        return read.reshape(-1, *read.shape[2:])


def _rows(*shape: int, dtype: Any = np.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _count(jaxpr: Jaxpr) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation) -> int:
    match equation.primitive.name:
        case "dot_general":
            return _dot(equation)
        case "conv_general_dilated":
            return _convolution(equation)
        case "scan":
            return equation.params["length"] * _count(equation.params["jaxpr"].jaxpr)
        case "while":
            raise ValueError("A loop whose length is not known beforehand cannot be counted.")
        case "cond":
            return max(_count(branch.jaxpr) for branch in equation.params["branches"])
    inner = (value for value in equation.params.values() if isinstance(value, Jaxpr | ClosedJaxpr))
    return sum(_count(value.jaxpr if isinstance(value, ClosedJaxpr) else value) for value in inner)


def _dot(equation) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    return 2 * math.prod(out) * math.prod(left[axis] for axis in contracted)


def _convolution(equation) -> int:
    """Per picture and output channel: input channels x pairs of an output and a tap that meets the picture."""
    params = equation.params
    numbers = params["dimension_numbers"]
    picture, kernel, out = (var.aval.shape for var in (*equation.invars[:2], equation.outvars[0]))
    pairs = 1
    for axis, (before, _) in enumerate(params["padding"]):
        length = picture[numbers.lhs_spec[2 + axis]]
        taps = kernel[numbers.rhs_spec[2 + axis]]
        outputs = np.arange(out[numbers.out_spec[2 + axis]]) * params["window_strides"][axis]
        positions = outputs[:, None] + np.arange(taps) - before
        pairs *= int(((positions >= 0) & (positions < length)).sum())
    channels = kernel[numbers.rhs_spec[1]]
    return 2 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]] * channels * pairs
