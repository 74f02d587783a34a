"""The network of an IP-Adapter: an embedded picture as tokens, and what a UNet's cross-attention reads of them.

Source: IP-Adapter, section 3.2 (https://arxiv.org/abs/2308.06721).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.kernels import KeysValues, attention
from rival_jax.models.ip_adapter_config import HEAD_WIDTH, IPAdapterConfig, Layer, ProjectionConfig, ResamplerConfig
from rival_jax.models.layers import LayerNorm, linear


class Projection(nnx.Module):
    """A global adapter's `image_proj`: one dense layer makes all tokens of an embedding."""

    def __init__(self, config: ProjectionConfig, *, dtype, rngs: nnx.Rngs):
        self.tokens = config.tokens
        self.proj = linear(config.image_width, config.tokens * config.text_width, dtype=dtype, rngs=rngs)
        self.norm = LayerNorm(config.text_width, dtype=dtype, rngs=rngs)

    def __call__(self, seen_bd: jax.Array) -> jax.Array:
        return self.norm(self.proj(seen_bd).reshape(len(seen_bd), self.tokens, -1))


class PerceiverAttention(nnx.Module):
    """Latents attend to what is seen and to themselves as one, each behind a norm of its own."""

    def __init__(self, config: ResamplerConfig, *, dtype, rngs: nnx.Rngs):
        options = {"use_bias": False, "dtype": dtype, "rngs": rngs}
        self.norm1 = LayerNorm(config.width, dtype=dtype, rngs=rngs)
        self.norm2 = LayerNorm(config.width, dtype=dtype, rngs=rngs)
        self.to_q = linear(config.width, config.inner, **options)
        self.to_kv = linear(config.width, 2 * config.inner, **options)
        self.to_out = linear(config.inner, config.width, **options)

    def __call__(self, seen_bsd: jax.Array, latents_bmd: jax.Array) -> jax.Array:
        own = self.norm2(latents_bmd)
        context = jnp.concatenate([self.norm1(seen_bsd), own], axis=1)
        projected = self.to_q(own), *jnp.split(self.to_kv(context), 2, axis=-1)
        q, k, v = (x.reshape(*x.shape[:-1], -1, HEAD_WIDTH) for x in projected)
        out_bmhk = attention(q[None], own=(k[None], v[None]), backend="dense")[0]
        return self.to_out(out_bmhk.reshape(*own.shape[:-1], -1))


class Resampler(nnx.Module):
    """A plus adapter's `image_proj`: learnt latents read a picture's hidden states and become its tokens.

    A layer is attention and an MLP (a norm, two dense layers), each with a residual.
    """

    def __init__(self, config: ResamplerConfig, *, dtype, rngs: nnx.Rngs):
        options, width = {"dtype": dtype, "rngs": rngs}, config.width
        self.latents = nnx.Param(jax.random.normal(rngs.params(), (1, config.tokens, width), dtype) * width**-0.5)
        self.proj_in = linear(config.image_width, width, **options)
        self.layers = nnx.data(
            [
                [
                    PerceiverAttention(config, **options),
                    {
                        "0": LayerNorm(width, **options),
                        "1": linear(width, config.hidden, use_bias=False, **options),
                        "3": linear(config.hidden, width, use_bias=False, **options),
                    },
                ]
                for _ in range(config.depth)
            ]
        )
        self.proj_out = linear(width, config.text_width, **options)
        self.norm_out = LayerNorm(config.text_width, **options)

    def __call__(self, seen_bsd: jax.Array) -> jax.Array:
        seen_bsd = self.proj_in(seen_bsd)
        x = jnp.broadcast_to(self.latents[...], (len(seen_bsd), *self.latents.shape[1:]))
        for attend, mlp in self.layers:
            x = x + attend(seen_bsd, x)
            x = x + mlp["3"](jax.nn.gelu(mlp["1"](mlp["0"](x)), approximate=False))
        return self.norm_out(self.proj_out(x))


class ImageKeysValues(nnx.Module):
    """What one cross-attention layer reads of a picture, beside what it reads of the prompt."""

    def __init__(self, layer: Layer, text_width: int, *, dtype, rngs: nnx.Rngs):
        options = {"use_bias": False, "dtype": dtype, "rngs": rngs}
        self.heads = layer.heads
        self.to_k_ip = linear(text_width, layer.width, **options)
        self.to_v_ip = linear(text_width, layer.width, **options)

    def __call__(self, tokens_bmd: jax.Array) -> KeysValues:
        keys, values = (
            x.reshape(*x.shape[:-1], self.heads, -1) for x in (self.to_k_ip(tokens_bmd), self.to_v_ip(tokens_bmd))
        )
        return keys, values


class IPAdapterNetwork(nnx.Module):
    """An IP-Adapter, global or plus, named as in its file: `ip_adapter` by the layers' numbers."""

    def __init__(self, config: IPAdapterConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.dtype = dtype
        options, projection = {"dtype": dtype, "rngs": rngs}, config.projection
        is_plus = isinstance(projection, ResamplerConfig)
        self.image_proj = Resampler(projection, **options) if is_plus else Projection(projection, **options)
        self.ip_adapter = nnx.data(
            {str(layer.number): ImageKeysValues(layer, projection.text_width, **options) for layer in config.layers}
        )

    def project(self, seen: jax.Array) -> jax.Array:
        """Tokens (b, m, d) of embedded pictures: (b, image_width), or hidden states (b, s, image_width) for plus."""
        return self.image_proj(seen.astype(self.dtype))

    def read(self, tokens_bmd: jax.Array) -> list[KeysValues]:
        """Keys and values (b, m, h, k) of tokens in every cross-attention layer, in the order of use, as `UNet.read`.

        Source: IP-Adapter, Eq. 5: a layer adds softmax(q K^T / sqrt(k)) V of them to what it reads of the prompt.
        """
        tokens_bmd = tokens_bmd.astype(self.dtype)
        return [self.ip_adapter[str(layer.number)](tokens_bmd) for layer in self.config.layers]
