"""The text encoder of CLIP."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.attention import sdpa
from rival_jax.models.config import TextConfig
from rival_jax.models.layers import LayerNorm, linear

_ACTIVATIONS = {
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


class SelfAttention(nnx.Module):
    """Multi-head attention in which a token sees itself and those before it."""

    def __init__(self, config: TextConfig, *, dtype, rngs: nnx.Rngs):
        width = config.hidden_size
        self.heads = config.num_attention_heads
        if width % self.heads:
            raise ValueError(f"{self.heads} heads cannot share a width of {width}")
        self.q_proj = linear(width, width, dtype=dtype, rngs=rngs)
        self.k_proj = linear(width, width, dtype=dtype, rngs=rngs)
        self.v_proj = linear(width, width, dtype=dtype, rngs=rngs)
        self.out_proj = linear(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x_bmd: jax.Array) -> jax.Array:
        b, m, _ = x_bmd.shape
        q, k, v = (project(x_bmd).reshape(b, m, self.heads, -1) for project in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(sdpa(q, k, v, is_causal=True).reshape(x_bmd.shape))


class MLP(nnx.Module):
    """Two dense layers around the configured activation."""

    def __init__(self, config: TextConfig, *, dtype, rngs: nnx.Rngs):
        self.activation = _ACTIVATIONS[config.hidden_act]
        self.fc1 = linear(config.hidden_size, config.intermediate_size, dtype=dtype, rngs=rngs)
        self.fc2 = linear(config.intermediate_size, config.hidden_size, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fc2(self.activation(self.fc1(x)))


class EncoderLayer(nnx.Module):
    """Pre-norm transformer layer."""

    def __init__(self, config: TextConfig, *, dtype, rngs: nnx.Rngs):
        self.layer_norm1 = LayerNorm(config.hidden_size, config.layer_norm_eps, dtype=dtype, rngs=rngs)
        self.self_attn = SelfAttention(config, dtype=dtype, rngs=rngs)
        self.layer_norm2 = LayerNorm(config.hidden_size, config.layer_norm_eps, dtype=dtype, rngs=rngs)
        self.mlp = MLP(config, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nnx.Module):
    """Token plus position."""

    def __init__(self, config: TextConfig, *, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        self.token_embedding = nnx.Embed(config.vocab_size, config.hidden_size, **options)
        self.position_embedding = nnx.Embed(config.max_position_embeddings, config.hidden_size, **options)

    def __call__(self, ids_bm: jax.Array) -> jax.Array:
        positions = jnp.broadcast_to(jnp.arange(ids_bm.shape[1]), ids_bm.shape)
        return self.token_embedding(ids_bm) + self.position_embedding(positions)


class Encoder(nnx.Module):
    """The stack of layers."""

    def __init__(self, config: TextConfig, *, dtype, rngs: nnx.Rngs):
        count = range(config.num_hidden_layers)
        self.layers = nnx.data([EncoderLayer(config, dtype=dtype, rngs=rngs) for _ in count])

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


class TextEncoder(nnx.Module):
    """`CLIPTextModel` up to its last hidden state, which is what Stable Diffusion reads."""

    def __init__(self, config: TextConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.embeddings = Embeddings(config, dtype=dtype, rngs=rngs)
        self.encoder = Encoder(config, dtype=dtype, rngs=rngs)
        self.final_layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps, dtype=dtype, rngs=rngs)

    def __call__(self, ids_bm: jax.Array) -> jax.Array:
        """Last hidden states (b, m, d) of token ids (b, m), after the final norm."""
        return self.final_layer_norm(self.encoder(self.embeddings(ids_bm)))
