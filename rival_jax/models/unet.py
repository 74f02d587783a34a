"""The noise predictor of Stable Diffusion 1.x, 2.x and, by configuration, SDXL."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from rival_jax.models.attention import Attend, Context, Prefix, plain
from rival_jax.models.blocks import DownBlock, Inject, MidBlock, UpBlock
from rival_jax.models.config import UNetConfig
from rival_jax.models.down_path import DownPath
from rival_jax.models.layers import GroupNorm, conv
from rival_jax.shapes import Latents, TextEmbedding, Timesteps

Residuals = tuple[Sequence[jax.Array], jax.Array]
"""What is added to the skips, in the order of their making, and to the middle's output: a ControlNet's."""


class UNet(DownPath):
    """`UNet2DConditionModel`: predicts noise (or v) from a noisy latent, its timestep and the prompt's tokens."""

    def __init__(self, config: UNetConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        super().__init__(config, dtype=dtype, rngs=rngs)
        channels, skips = config.block_out_channels, list(config.skip_channels)
        last, up = len(channels) - 1, []
        for level in range(last, -1, -1):
            spec = self._spec(level, config.up_depths[level], config.layers_per_block[level] + 1)
            own = [skips.pop() for _ in range(spec.layers)]
            after = channels[min(level + 1, last)]
            up.append(UpBlock(spec, after, own, upsample=level > 0, dtype=dtype, rngs=rngs))
        self.up_blocks = nnx.data(up)

        self.conv_norm_out = GroupNorm(channels[0], config.norm_num_groups, config.norm_eps, dtype=dtype, rngs=rngs)
        self.conv_out = conv(channels[0], config.out_channels, dtype=dtype, rngs=rngs)

    @property
    def blocks(self) -> list[DownBlock | MidBlock | UpBlock]:
        """In the order of use."""
        return [*super().blocks, *self.up_blocks]

    def __call__(
        self,
        x_byxc: Latents,
        timestep_b: Timesteps,
        text_bmd: TextEmbedding,
        *,
        attend: Attend = plain,
        added_ba: jax.Array | None = None,
    ) -> Latents:
        """`predict` for prompts' hidden states and vectors to be added, from which nothing is reused."""
        time_bd = self.embed_time(timestep_b)
        if added_ba is not None:
            time_bd = time_bd + self.embed_added(added_ba)
        return self.predict(x_byxc, time_bd, self.read(text_bmd), attend=attend)

    def predict(
        self,
        x_byxc: jax.Array,
        time_bd: jax.Array,
        texts: Sequence[Context],
        *,
        attend: Attend = plain,
        prefix: Prefix | None = None,
        residuals: Residuals | None = None,
        inject: Inject | None = None,
    ) -> jax.Array:
        """The model's prediction (b, y, x, c), float32.

        Args:
            x_byxc: scaled latents; sides are multiples of `config.factor`.
            time_bd: what `embed_time` returned, with what `embed_added` did; one a row or one for all.
            texts: what `read` returned, one a row.
            attend: who attends to whom, in every attention layer.
            prefix: how the latents' rows become those of the texts; without one they are.
            residuals: what a ControlNet adds, for all rows.
            inject: what is put in place of the features of the fifth residual block on the way up, for all rows.
        """
        time_bd, layers = time_bd.astype(self.dtype), iter(texts)
        x = self.conv_in(x_byxc.astype(self.dtype))
        skips, x = self.descend(x, time_bd, layers, attend, prefix)
        if residuals:
            added, added_middle = residuals
            skips = [skip + more.astype(self.dtype) for skip, more in zip(skips, added, strict=True)]
            x = x + added_middle.astype(self.dtype)
        for level, block in enumerate(self.up_blocks):
            x = block(x, skips, time_bd, layers, attend, inject if level == 1 else None)
        return self.conv_out(nnx.silu(self.conv_norm_out(x))).astype(jnp.float32)
