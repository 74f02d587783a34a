"""A checkpoint as a whole: its directory, its schedule and its networks, checked before any weight is read."""

from __future__ import annotations

from pathlib import Path

import jax

from rival_jax import checks
from rival_jax.options import DTYPES, DType
from rival_jax.schedule import Schedule
from rival_jax.weights import TEXT_ENCODER, UNET, VAE, Plan, plan, resolve
from rival_jax.weights.files import read_json


def plans(model: str | Path, dtype: DType) -> tuple[Path, Schedule, list[Plan]]:
    """A model's directory, its schedule and its networks (UNet, VAE, text encoder), checked but not read.

    Raises InputError for a model that cannot be found or does not fit its own configs.
    """
    checks.choice("dtype", dtype, DTYPES)
    directory = resolve(model, dtype)
    schedule = Schedule.from_dict(read_json(directory / "scheduler" / "scheduler_config.json"))
    wanted = (UNET, dtype), (VAE, "float32"), (TEXT_ENCODER, dtype)
    return directory, schedule, [plan(directory, part, part_dtype) for part, part_dtype in wanted]


def device_dtype() -> DType:
    """bfloat16 on TPUs and NVIDIA GPUs since Ampere, float16 on older GPUs, float32 on CPUs."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return "float32"
    if device.platform == "gpu" and float(getattr(device, "compute_capability", 8.0)) < 8.0:
        return "float16"
    return "bfloat16"
