"""`rival info`: what a checkpoint is and what it needs, from its configs and file headers alone."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp

from rival_jax.checkpoint import device_dtype, plans
from rival_jax.models.config import UNetConfig
from rival_jax.options import DType
from rival_jax.schedule import Schedule

_SCORE_COPIES = 4
"""Buffers of attention scores alive at once: what fits the measured peak of SD 1.5 at 512 pixels, one variation."""


def describe(model: str | Path, dtype: DType | None = None, num_variations: int = 4) -> str:
    """A few lines about a model. Raises InputError as `RivalPipeline.from_pretrained` does."""
    dtype = device_dtype() if dtype is None else dtype
    directory, schedule, networks = plans(model, dtype)
    unet, vae, text = networks
    size = unet.config.sample_size * vae.config.factor
    step = unet.config.factor * vae.config.factor
    rows = 1 + 2 * num_variations
    weights = sum(network.nbytes for network in networks)
    working = activation_bytes(unet.config, rows, jnp.dtype(dtype).itemsize)
    lines = [
        ("model", str(directory)),
        ("pictures", f"{size} x {size} pixels by default; sides are multiples of {step}"),
        ("latents", f"{unet.config.in_channels} channels, {vae.config.factor} pixels a cell"),
        ("prompts", f"{text.config.max_position_embeddings} tokens of width {text.config.hidden_size}"),
        ("prediction", _prediction(schedule)),
        ("dtype", f"{dtype} (VAE float32)"),
        *((_NAMES[network.folder.name], _parameters(network)) for network in networks),
        ("memory", f"{_size(weights)} of weights"),
        ("", f"about {_size(working)} more for {num_variations} variations of one photo (an estimate)"),
    ]
    return "\n".join(f"{name:<13} {value}" for name, value in lines)


_NAMES = {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder"}


def _parameters(network) -> str:
    return f"{network.parameters / 1e6:.1f} M parameters, {_size(network.nbytes)}"


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _prediction(schedule: Schedule) -> str:
    kind = {"epsilon": "noise", "v_prediction": "v"}[schedule.prediction_type]
    return f"{kind}, {schedule.beta_schedule} betas {schedule.beta_start} to {schedule.beta_end}, run by DDIM"


def activation_bytes(config: UNetConfig, rows: int, itemsize: int) -> int:
    """What one UNet call of `rows` rows holds at its worst: all skips, one level's work, and the attention scores.

    Scores are float32 over the finest level with attention, with keys of the row and of its reference.
    """
    sides = [config.sample_size >> level for level in range(len(config.block_out_channels))]
    maps = [side**2 * width for side, width in zip(sides, config.block_out_channels, strict=True)]
    skips = sum(pixels * (layers + 2) for pixels, layers in zip(maps, config.layers_per_block, strict=True))
    scores = max(
        2 * heads * side**4 if depth else 0
        for heads, side, depth in zip(config.attention_heads, sides, config.transformer_depths, strict=True)
    )
    return rows * (itemsize * (skips + 10 * max(maps)) + _SCORE_COPIES * 4 * scores)
