"""Attention layers. They own weights and know no method: who attends to whom is the `attend` argument's decision."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.layers import GroupNorm, LayerNorm, conv, linear


def sdpa(q_bshk: jax.Array, k_bmhk: jax.Array, v_bmhk: jax.Array, *, is_causal: bool = False) -> jax.Array:
    """Scaled dot-product attention with a float32 softmax, (b, s, h, k) like the queries."""
    dtype, inputs = q_bshk.dtype, (q_bshk, k_bmhk, v_bmhk)
    if dtype == jnp.float16 and jax.default_backend() != "gpu":  # only GPUs have the products that JAX asks for
        inputs = (x.astype(jnp.float32) for x in inputs)
    with jax.numpy_dtype_promotion("standard"):  # JAX mixes float32 scores with 16-bit inputs itself
        return jax.nn.dot_product_attention(*inputs, is_causal=is_causal).astype(dtype)


@runtime_checkable
class Attend(Protocol):
    """Decides which keys and values each row's queries meet; returns (b, s, h, k).

    `text_bmd` is None in self-attention, the prompt's tokens in cross-attention.
    """

    def __call__(self, attention: Attention, x_bsd: jax.Array, text_bmd: jax.Array | None) -> jax.Array: ...


def plain(attention: Attention, x_bsd: jax.Array, text_bmd: jax.Array | None = None) -> jax.Array:
    """Every row attends to itself, or to its own prompt."""
    return sdpa(attention.q(x_bsd), *attention.kv(x_bsd if text_bmd is None else text_bmd))


class Attention(nnx.Module):
    """The projections of one multi-head attention."""

    def __init__(
        self, width: int, heads: int, *, context_width: int | None = None, use_bias: bool = False, dtype, rngs: nnx.Rngs
    ):
        if width % heads:
            raise ValueError(f"{heads} heads cannot share a width of {width}")
        self.heads = heads
        context_width = width if context_width is None else context_width
        self.to_q = linear(width, width, use_bias=use_bias, dtype=dtype, rngs=rngs)
        self.to_k = linear(context_width, width, use_bias=use_bias, dtype=dtype, rngs=rngs)
        self.to_v = linear(context_width, width, use_bias=use_bias, dtype=dtype, rngs=rngs)
        self.to_out = nnx.data([linear(width, width, dtype=dtype, rngs=rngs)])

    def _split(self, x_bsd: jax.Array) -> jax.Array:
        return x_bsd.reshape(*x_bsd.shape[:-1], self.heads, -1)

    def q(self, x_bsd: jax.Array) -> jax.Array:
        """Queries (b, s, h, k)."""
        return self._split(self.to_q(x_bsd))

    def kv(self, context_bmd: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Keys and values, (b, m, h, k) each."""
        return self._split(self.to_k(context_bmd)), self._split(self.to_v(context_bmd))

    def __call__(self, x_bsd: jax.Array, text_bmd: jax.Array | None = None, *, attend: Attend = plain) -> jax.Array:
        out_bshk = attend(self, x_bsd, text_bmd)
        return self.to_out[0](out_bshk.reshape(x_bsd.shape))


class GEGLU(nnx.Module):
    """Gated linear unit with an exact GELU gate."""

    def __init__(self, width: int, inner: int, *, dtype, rngs: nnx.Rngs):
        self.proj = linear(width, 2 * inner, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        value, gate = jnp.split(self.proj(x), 2, axis=-1)
        return value * jax.nn.gelu(gate, approximate=False)


class FeedForward(nnx.Module):
    """The transformer block's MLP, four times as wide inside. `net.1` is a dropout, which has no weights."""

    def __init__(self, width: int, *, dtype, rngs: nnx.Rngs):
        self.net = nnx.data(
            {
                "0": GEGLU(width, 4 * width, dtype=dtype, rngs=rngs),
                "2": linear(4 * width, width, dtype=dtype, rngs=rngs),
            }
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.net["2"](self.net["0"](x))


class BasicTransformerBlock(nnx.Module):
    """Self-attention, cross-attention and MLP, each after a norm and with a residual."""

    def __init__(self, width: int, heads: int, text_width: int, *, dtype, rngs: nnx.Rngs):
        self.norm1 = LayerNorm(width, dtype=dtype, rngs=rngs)
        self.attn1 = Attention(width, heads, dtype=dtype, rngs=rngs)
        self.norm2 = LayerNorm(width, dtype=dtype, rngs=rngs)
        self.attn2 = Attention(width, heads, context_width=text_width, dtype=dtype, rngs=rngs)
        self.norm3 = LayerNorm(width, dtype=dtype, rngs=rngs)
        self.ff = FeedForward(width, dtype=dtype, rngs=rngs)

    def __call__(self, x_bsd: jax.Array, text_bmd: jax.Array, attend: Attend) -> jax.Array:
        x_bsd = x_bsd + self.attn1(self.norm1(x_bsd), attend=attend)
        x_bsd = x_bsd + self.attn2(self.norm2(x_bsd), text_bmd, attend=attend)
        return x_bsd + self.ff(self.norm3(x_bsd))


class Transformer2D(nnx.Module):
    """`depth` transformer blocks over an image's tokens, between two projections."""

    def __init__(
        self,
        channels: int,
        heads: int,
        depth: int,
        text_width: int,
        *,
        groups: int,
        use_linear_projection: bool,
        dtype,
        rngs: nnx.Rngs,
    ):
        def projection():
            if use_linear_projection:
                return linear(channels, channels, dtype=dtype, rngs=rngs)
            return conv(channels, channels, 1, dtype=dtype, rngs=rngs)

        self.norm = GroupNorm(channels, groups, 1e-6, dtype=dtype, rngs=rngs)
        self.proj_in = projection()
        self.transformer_blocks = nnx.data(
            [BasicTransformerBlock(channels, heads, text_width, dtype=dtype, rngs=rngs) for _ in range(depth)]
        )
        self.proj_out = projection()

    def __call__(self, x_byxc: jax.Array, text_bmd: jax.Array, attend: Attend) -> jax.Array:
        b, y, x, c = x_byxc.shape
        tokens = self.proj_in(self.norm(x_byxc)).reshape(b, y * x, c)
        for block in self.transformer_blocks:
            tokens = block(tokens, text_bmd, attend)
        return x_byxc + self.proj_out(tokens.reshape(b, y, x, c))
