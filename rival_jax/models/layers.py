"""Layers every network here is made of: parameters and arithmetic in `dtype`, normalisation in float32."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx


def linear(in_features: int, out_features: int, *, use_bias: bool = True, dtype, rngs: nnx.Rngs) -> nnx.Linear:
    """A dense layer; kernel (in, out)."""
    return nnx.Linear(in_features, out_features, use_bias=use_bias, dtype=dtype, param_dtype=dtype, rngs=rngs)


def conv(
    in_channels: int,
    out_channels: int,
    size: int = 3,
    *,
    stride: int = 1,
    padding=None,
    use_bias: bool = True,
    dtype,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A square convolution over (b, y, x, c); kernel (size, size, in, out), padded by size // 2 unless told."""
    padding = ((size // 2, size // 2),) * 2 if padding is None else padding
    return nnx.Conv(
        in_channels,
        out_channels,
        (size, size),
        strides=stride,
        padding=padding,
        use_bias=use_bias,
        dtype=dtype,
        param_dtype=dtype,
        rngs=rngs,
    )


def _standard(norm: Callable[..., jax.Array], x: jax.Array, **options) -> jax.Array:
    """Older flax multiplies float32 numbers by 16-bit scales."""
    with jax.numpy_dtype_promotion("standard"):
        return norm(x, **options)


class GroupNorm(nnx.GroupNorm):
    """Group normalisation whose statistics are float32 at any parameter dtype."""

    def __init__(self, channels: int, groups: int, epsilon: float, *, dtype, rngs: nnx.Rngs):
        options = {"epsilon": epsilon, "dtype": jnp.float32, "param_dtype": dtype, "use_fast_variance": False}
        super().__init__(channels, groups, **options, rngs=rngs)

    def __call__(self, x: jax.Array, **options) -> jax.Array:
        return _standard(super().__call__, x.astype(jnp.float32), **options).astype(x.dtype)


class LayerNorm(nnx.LayerNorm):
    """Layer normalisation whose statistics are float32 at any parameter dtype."""

    def __init__(self, width: int, epsilon: float = 1e-5, *, dtype, rngs: nnx.Rngs):
        options = {"epsilon": epsilon, "dtype": jnp.float32, "param_dtype": dtype, "use_fast_variance": False}
        super().__init__(width, **options, rngs=rngs)

    def __call__(self, x: jax.Array, **options) -> jax.Array:
        return _standard(super().__call__, x.astype(jnp.float32), **options).astype(x.dtype)


class Downsample(nnx.Module):
    """Halves the image with a strided convolution.

    Differs: the UNet pads one pixel on every side, the VAE only below and to the right.
    """

    def __init__(self, channels: int, *, padding: tuple[int, int] = (1, 1), dtype, rngs: nnx.Rngs):
        self.conv = conv(channels, channels, stride=2, padding=(padding, padding), dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.conv(x)


class Upsample(nnx.Module):
    """Doubles the image by repeating pixels, then convolves."""

    def __init__(self, channels: int, *, dtype, rngs: nnx.Rngs):
        self.conv = conv(channels, channels, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.conv(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2))


class ResnetBlock(nnx.Module):
    """Two convolutions with a residual path; the time embedding, where there is one, is added between them."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        time_width: int | None = None,
        groups: int,
        epsilon: float,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.norm1 = GroupNorm(in_channels, groups, epsilon, dtype=dtype, rngs=rngs)
        self.conv1 = conv(in_channels, out_channels, dtype=dtype, rngs=rngs)
        if time_width is not None:
            self.time_emb_proj = linear(time_width, out_channels, dtype=dtype, rngs=rngs)
        self.norm2 = GroupNorm(out_channels, groups, epsilon, dtype=dtype, rngs=rngs)
        self.conv2 = conv(out_channels, out_channels, dtype=dtype, rngs=rngs)
        if in_channels != out_channels:
            self.conv_shortcut = conv(in_channels, out_channels, 1, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x_byxc: jax.Array,
        time_bd: jax.Array | None = None,
        inject: Callable[[jax.Array], jax.Array] | None = None,
    ) -> jax.Array:
        """`inject` puts something in place of what is added to the input."""
        hidden = self.conv1(nnx.silu(self.norm1(x_byxc)))
        if time_bd is not None:
            hidden = hidden + self.time_emb_proj(nnx.silu(time_bd))[:, None, None, :]
        hidden = self.conv2(nnx.silu(self.norm2(hidden)))
        hidden = hidden if inject is None else inject(hidden)
        return (self.conv_shortcut(x_byxc) if hasattr(self, "conv_shortcut") else x_byxc) + hidden
