"""Attention layers. They own weights and know no method: who attends to whom is the `attend` argument's decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.kernels import KeysValues, attention
from rival_jax.models.layers import GroupNorm, LayerNorm, conv, linear
from rival_jax.options import Backend

Context = KeysValues | tuple[KeysValues, KeysValues]
"""What cross-attention reads: of prompts, or of prompts and of pictures. Only `attend` looks inside."""


@runtime_checkable
class Attend(Protocol):
    """Decides which keys and values each row's queries meet."""

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: Any) -> jax.Array:
        """What the queries read, (b, s, h, k).

        Args:
            layer: whose `q` makes queries (b, s, h, k) and whose `kv` makes keys and values (b, m, h, k) each.
            x_bsd: the layer's input.
            text: None in self-attention; in cross-attention the keys and values of the rows' prompts, (b, m, h, k)
                each, or those of prompts and those of pictures.
        """
        ...


@dataclass(frozen=True)
class Plain:
    """Every row attends to itself, or to its own prompt."""

    backend: Backend | None = None
    """None chooses by device, dtype and shape."""

    def __call__(self, layer: Attention, x_bsd: jax.Array, text: KeysValues | None = None) -> jax.Array:
        keys, values = layer.kv(x_bsd) if text is None else text
        return attention(layer.q(x_bsd)[None], own=(keys[None], values[None]), backend=self.backend)[0]


plain = Plain()
"""By whichever kernel suits."""


@dataclass(frozen=True)
class Prefix:
    """What runs before a call's first cross-attention, where rows that differ in nothing but their prompt are one.

    `attend` is who attends to whom among these fewer rows, `spread` makes all rows of them.
    """

    attend: Attend
    spread: Callable[[jax.Array], jax.Array]


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

    def __call__(self, x_bsd: jax.Array, text: Context | None = None, *, attend: Attend = plain) -> jax.Array:
        out_bshk = attend(self, x_bsd, text)
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

    def __call__(self, x_bsd: jax.Array, text: Context, attend: Attend, prefix: Prefix | None = None) -> jax.Array:
        x_bsd = x_bsd + self.attn1(self.norm1(x_bsd), attend=prefix.attend if prefix else attend)
        x_bsd = prefix.spread(x_bsd) if prefix else x_bsd
        x_bsd = x_bsd + self.attn2(self.norm2(x_bsd), text, attend=attend)
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

    def __call__(
        self, x_byxc: jax.Array, texts: Iterator[Context], attend: Attend, prefix: Prefix | None = None
    ) -> jax.Array:
        """Takes its layers' texts from `texts`. With a `prefix` the image has fewer rows than what is returned."""
        b, y, x, c = x_byxc.shape
        tokens = self.proj_in(self.norm(x_byxc)).reshape(b, y * x, c)
        for number, block in enumerate(self.transformer_blocks):
            tokens = block(tokens, next(texts), attend, prefix if number == 0 else None)
        x_byxc = prefix.spread(x_byxc) if prefix else x_byxc
        return x_byxc + self.proj_out(tokens.reshape(x_byxc.shape))
