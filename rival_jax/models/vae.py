"""The autoencoder between pixels and latents."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.attention import Attention
from rival_jax.models.config import VAEConfig
from rival_jax.models.layers import Downsample, GroupNorm, ResnetBlock, Upsample, conv

_EPSILON = 1e-6


class SpatialAttention(Attention):
    """Single-head self-attention over the image's tokens, with its own norm and residual."""

    def __init__(self, channels: int, groups: int, *, dtype, rngs: nnx.Rngs):
        super().__init__(channels, 1, use_bias=True, dtype=dtype, rngs=rngs)
        self.group_norm = GroupNorm(channels, groups, _EPSILON, dtype=dtype, rngs=rngs)

    def __call__(self, x_byxc: jax.Array) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        b, y, x, c = x_byxc.shape
        return x_byxc + super().__call__(self.group_norm(x_byxc).reshape(b, y * x, c)).reshape(b, y, x, c)


class Level(nnx.Module):
    """`DownEncoderBlock2D` and `UpDecoderBlock2D`: resnets, then a change of size."""

    def __init__(self, in_channels: int, channels: int, layers: int, groups: int, *, down=(), up=(), dtype, rngs):
        inputs = [in_channels] + [channels] * (layers - 1)
        options = {"groups": groups, "epsilon": _EPSILON, "dtype": dtype, "rngs": rngs}
        self.resnets = nnx.data([ResnetBlock(before, channels, **options) for before in inputs])
        self.downsamplers = nnx.data(list(down))
        self.upsamplers = nnx.data(list(up))

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in [*self.resnets, *self.downsamplers, *self.upsamplers]:
            x = layer(x)
        return x


class Middle(nnx.Module):
    """Resnet, attention, resnet at the coarsest level."""

    def __init__(self, channels: int, groups: int, add_attention: bool, *, dtype, rngs: nnx.Rngs):
        options = {"groups": groups, "epsilon": _EPSILON, "dtype": dtype, "rngs": rngs}
        self.resnets = nnx.data([ResnetBlock(channels, channels, **options) for _ in range(2)])
        attention = [SpatialAttention(channels, groups, dtype=dtype, rngs=rngs)] if add_attention else []
        self.attentions = nnx.data(attention)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in [self.resnets[0], *self.attentions, self.resnets[1]]:
            x = layer(x)
        return x


class Encoder(nnx.Module):
    """Pixels to the moments of the posterior."""

    def __init__(self, config: VAEConfig, *, dtype, rngs: nnx.Rngs):
        channels, groups, options = config.block_out_channels, config.norm_num_groups, {"dtype": dtype, "rngs": rngs}
        self.conv_in = conv(config.in_channels, channels[0], **options)
        blocks = []
        for level, width in enumerate(channels):
            down = [Downsample(width, padding=(0, 1), **options)] if level < len(channels) - 1 else []
            before = channels[max(level - 1, 0)]
            blocks.append(Level(before, width, config.layers_per_block, groups, down=down, **options))
        self.down_blocks = nnx.data(blocks)
        self.mid_block = Middle(channels[-1], groups, config.mid_block_add_attention, **options)
        self.conv_norm_out = GroupNorm(channels[-1], groups, _EPSILON, **options)
        self.conv_out = conv(channels[-1], 2 * config.latent_channels, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.conv_in(x)
        for layer in [*self.down_blocks, self.mid_block]:
            x = layer(x)
        return self.conv_out(nnx.silu(self.conv_norm_out(x)))


class Decoder(nnx.Module):
    """Latents to pixels."""

    def __init__(self, config: VAEConfig, *, dtype, rngs: nnx.Rngs):
        channels, groups, options = config.block_out_channels, config.norm_num_groups, {"dtype": dtype, "rngs": rngs}
        self.conv_in = conv(config.latent_channels, channels[-1], **options)
        self.mid_block = Middle(channels[-1], groups, config.mid_block_add_attention, **options)
        blocks = []
        for level in range(len(channels) - 1, -1, -1):
            up = [Upsample(channels[level], **options)] if level else []
            before = channels[min(level + 1, len(channels) - 1)]
            blocks.append(Level(before, channels[level], config.layers_per_block + 1, groups, up=up, **options))
        self.up_blocks = nnx.data(blocks)
        self.conv_norm_out = GroupNorm(channels[0], groups, _EPSILON, **options)
        self.conv_out = conv(channels[0], config.out_channels, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.conv_in(x)
        for layer in [self.mid_block, *self.up_blocks]:
            x = layer(x)
        return self.conv_out(nnx.silu(self.conv_norm_out(x)))


class VAE(nnx.Module):
    """`AutoencoderKL`. Latents in and out are unscaled; `config.scaling_factor` is the caller's to apply."""

    def __init__(self, config: VAEConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.dtype = dtype
        self.encoder = Encoder(config, dtype=dtype, rngs=rngs)
        self.decoder = Decoder(config, dtype=dtype, rngs=rngs)
        if config.use_quant_conv:
            self.quant_conv = conv(2 * config.latent_channels, 2 * config.latent_channels, 1, dtype=dtype, rngs=rngs)
        if config.use_post_quant_conv:
            self.post_quant_conv = conv(config.latent_channels, config.latent_channels, 1, dtype=dtype, rngs=rngs)

    def posterior(self, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and log variance (b, h, w, c), float32, of the latents of pixels (b, H, W, 3) in [-1, 1]."""
        moments = self.encoder(pixels.astype(self.dtype))
        if self.config.use_quant_conv:
            moments = self.quant_conv(moments)
        mean, log_variance = jnp.split(moments.astype(jnp.float32), 2, axis=-1)
        return mean, jnp.clip(log_variance, -30.0, 20.0)

    def encode(self, pixels: jax.Array) -> jax.Array:
        """The posterior's mean (b, h, w, c), float32, of pixels (b, H, W, 3) in [-1, 1]."""
        return self.posterior(pixels)[0]

    def decode(self, latents: jax.Array) -> jax.Array:
        """Pixels (b, H, W, 3), float32, about [-1, 1] but not clipped, of unscaled latents (b, h, w, c)."""
        latents = latents.astype(self.dtype)
        if self.config.use_post_quant_conv:
            latents = self.post_quant_conv(latents)
        return self.decoder(latents).astype(jnp.float32)
