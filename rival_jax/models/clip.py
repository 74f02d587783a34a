"""CLIP: the text encoder that Stable Diffusion reads, the image encoder, and the space in which the two meet."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.kernels.dense import wide
from rival_jax.models.clip_config import CLIPConfig, TextConfig, VisionConfig
from rival_jax.models.layers import LayerNorm, conv, linear

_ACTIVATIONS = {
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


class SelfAttention(nnx.Module):
    """Multi-head attention; a text's token sees itself and those before it, an image's all."""

    def __init__(self, config: TextConfig | VisionConfig, *, dtype, rngs: nnx.Rngs):
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.is_causal = isinstance(config, TextConfig)
        self.q_proj = linear(width, width, dtype=dtype, rngs=rngs)
        self.k_proj = linear(width, width, dtype=dtype, rngs=rngs)
        self.v_proj = linear(width, width, dtype=dtype, rngs=rngs)
        self.out_proj = linear(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x_bmd: jax.Array) -> jax.Array:
        b, m, _ = x_bmd.shape
        q, k, v = (project(x_bmd).reshape(b, m, self.heads, -1) for project in (self.q_proj, self.k_proj, self.v_proj))
        with jax.numpy_dtype_promotion("standard"):  # JAX mixes float32 scores with 16-bit inputs itself
            out = jax.nn.dot_product_attention(wide(q), wide(k), wide(v), is_causal=self.is_causal)
        return self.out_proj(out.astype(x_bmd.dtype).reshape(x_bmd.shape))


class MLP(nnx.Module):
    """Two dense layers around the configured activation."""

    def __init__(self, config: TextConfig | VisionConfig, *, dtype, rngs: nnx.Rngs):
        self.activation = _ACTIVATIONS[config.hidden_act]
        self.fc1 = linear(config.hidden_size, config.intermediate_size, dtype=dtype, rngs=rngs)
        self.fc2 = linear(config.intermediate_size, config.hidden_size, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fc2(self.activation(self.fc1(x)))


class EncoderLayer(nnx.Module):
    """Pre-norm transformer layer."""

    def __init__(self, config: TextConfig | VisionConfig, *, dtype, rngs: nnx.Rngs):
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
    """The stack of layers; `but_one` leaves out the last."""

    def __init__(self, config: TextConfig | VisionConfig, *, dtype, rngs: nnx.Rngs):
        count = range(config.num_hidden_layers)
        self.layers = nnx.data([EncoderLayer(config, dtype=dtype, rngs=rngs) for _ in count])

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layers[-1](self.but_one(x))

    def but_one(self, x: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            x = layer(x)
        return x


class TextEncoder(nnx.Module):
    """`CLIPTextModel` up to its last hidden state, which Stable Diffusion reads, or the one before, which SDXL does."""

    def __init__(self, config: TextConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.embeddings = Embeddings(config, dtype=dtype, rngs=rngs)
        self.encoder = Encoder(config, dtype=dtype, rngs=rngs)
        self.final_layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps, dtype=dtype, rngs=rngs)

    def __call__(self, ids_bm: jax.Array) -> jax.Array:
        """Last hidden states (b, m, d) of token ids (b, m), after the final norm."""
        return self.final_layer_norm(self.encoder(self.embeddings(ids_bm)))

    def penultimate(self, ids_bm: jax.Array) -> jax.Array:
        """Hidden states (b, m, d) of token ids (b, m) before the last layer, not normed."""
        return self.encoder.but_one(self.embeddings(ids_bm))

    def pooled(self, ids_bm: jax.Array, end: jax.Array | int) -> jax.Array:
        """The last hidden state (b, d) at the first end token, whose id is `end`."""
        return self(ids_bm)[jnp.arange(ids_bm.shape[0]), jnp.argmax(ids_bm == end, axis=-1)]


class ProjectedTextEncoder(TextEncoder):
    """`CLIPTextModelWithProjection`, SDXL's second."""

    def __init__(self, config: TextConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        super().__init__(config, dtype=dtype, rngs=rngs)
        options = {"use_bias": False, "dtype": dtype, "rngs": rngs}
        self.text_projection = linear(config.hidden_size, config.projection_dim, **options)

    def pooled(self, ids_bm: jax.Array, end: jax.Array | int) -> jax.Array:
        """The projection (b, projection_dim) of what any text encoder's `pooled` is."""
        return self.text_projection(super().pooled(ids_bm, end))


class PatchEmbeddings(nnx.Module):
    """A learnt first token, then one a patch, plus position."""

    def __init__(self, config: VisionConfig, *, dtype, rngs: nnx.Rngs):
        width, patch = config.hidden_size, config.patch_size
        options = {"dtype": dtype, "rngs": rngs}
        self.class_embedding = nnx.Param(jax.random.normal(rngs.params(), (width,), dtype) * width**-0.5)
        self.patch_embedding = conv(3, width, patch, stride=patch, padding=((0, 0), (0, 0)), use_bias=False, **options)
        self.position_embedding = nnx.Embed(config.tokens, width, param_dtype=dtype, **options)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        b = pixels.shape[0]
        first = jnp.broadcast_to(self.class_embedding[...], (b, 1, self.class_embedding.shape[0]))
        patches = self.patch_embedding(pixels).reshape(b, -1, first.shape[-1])
        tokens = jnp.concatenate([first, patches], axis=1)
        positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape[:2])
        return tokens + self.position_embedding(positions)


class VisionEncoder(nnx.Module):
    """`CLIPVisionModel` up to its pooled output."""

    def __init__(self, config: VisionConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.embeddings = PatchEmbeddings(config, **options)
        self.pre_layrnorm = LayerNorm(config.hidden_size, config.layer_norm_eps, **options)
        self.encoder = Encoder(config, **options)
        self.post_layernorm = LayerNorm(config.hidden_size, config.layer_norm_eps, **options)

    def pooled(self, pixels: jax.Array) -> jax.Array:
        """The first token's last hidden state (b, d) of normalised pixels (b, H, W, 3), after the final norm."""
        return self.post_layernorm(self.encoder(self.pre_layrnorm(self.embeddings(pixels)))[:, 0])

    def penultimate(self, pixels: jax.Array) -> jax.Array:
        """Hidden states (b, s, d) of normalised pixels (b, H, W, 3) before the last layer, not normed."""
        return self.encoder.but_one(self.pre_layrnorm(self.embeddings(pixels)))


class ImageEncoder(nnx.Module):
    """`CLIPVisionModelWithProjection`: what image variation models, Stable unCLIP and IP-Adapters see of a picture."""

    def __init__(self, config: VisionConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        options = {"dtype": dtype, "rngs": rngs}
        self.vision_model = VisionEncoder(config, **options)
        self.visual_projection = linear(config.hidden_size, config.projection_dim, use_bias=False, **options)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Embeddings (b, projection_dim) of normalised pixels (b, H, W, 3), of any length."""
        return self.visual_projection(self.vision_model.pooled(pixels))


class CLIP(nnx.Module):
    """`CLIPModel` without its temperature: texts and pictures to unit vectors that can be compared."""

    def __init__(self, config: CLIPConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        options = {"dtype": dtype, "rngs": rngs}
        self.text_model = TextEncoder(config.text, **options)
        self.vision_model = VisionEncoder(config.vision, **options)
        self.text_projection = linear(config.text.hidden_size, config.projection_dim, use_bias=False, **options)
        self.visual_projection = linear(config.vision.hidden_size, config.projection_dim, use_bias=False, **options)

    def embed_text(self, ids_bm: jax.Array) -> jax.Array:
        """Unit vectors (b, projection_dim) of token ids (b, m)."""
        return unit(self.text_projection(self.text_model.pooled(ids_bm, ids_bm.max())))  # the end has the largest id

    def embed_images(self, pixels: jax.Array) -> jax.Array:
        """Unit vectors (b, projection_dim) of normalised pixels (b, H, W, 3)."""
        return unit(self.visual_projection(self.vision_model.pooled(pixels)))


def unit(x: jax.Array) -> jax.Array:
    """Vectors of length 1 along the last axis; of nothing, nothing."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
