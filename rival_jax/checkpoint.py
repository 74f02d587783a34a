"""A checkpoint as a whole: its directory, its schedule and its networks, checked before any weight is read."""

from __future__ import annotations

import re
from pathlib import Path

import jax

from rival_jax import checks
from rival_jax.errors import InputError
from rival_jax.models.clip_config import TextConfig
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.options import DTYPES, DType
from rival_jax.schedule import Schedule
from rival_jax.weights import TEXT_ENCODER, UNET, VAE, Part, Plan, plan, resolve
from rival_jax.weights.files import read_json


def plans(model: str | Path, dtype: DType) -> tuple[Path, Schedule, list[Plan]]:
    """A model's directory, its schedule and its networks (UNet, VAE, text encoder), checked but not read.

    Raises InputError for a model that cannot be found or does not fit its own configs.
    """
    checks.choice("dtype", dtype, DTYPES)
    wanted: dict[Part, DType] = {UNET: dtype, VAE: "float32", TEXT_ENCODER: dtype}
    directory = resolve(model, {part.folder: part_dtype for part, part_dtype in wanted.items()})
    schedule = Schedule.from_dict(read_json(directory / "scheduler" / "scheduler_config.json"))
    made = [plan(directory, part, part_dtype) for part, part_dtype in wanted.items()]
    _check_fit(*(network.config for network in made))
    return directory, schedule, made


def _check_fit(unet: UNetConfig, vae: VAEConfig, text: TextConfig) -> None:
    """Raises InputError for networks that do not work together as in Stable Diffusion 1.x and 2.x."""
    if unet.addition_time_embed_dim:
        raise InputError("The model's UNet wants added text and size embeddings: SDXL models are not supported yet.")
    if not unet.in_channels == unet.out_channels == vae.latent_channels:
        raise InputError(
            f"The model's UNet reads {unet.in_channels} and gives {unet.out_channels} channels, but its VAE's latents "
            f"have {vae.latent_channels}: inpainting models and the like are not supported."
        )
    if unet.cross_attention_dim != text.hidden_size:
        raise InputError(
            f"The model's UNet reads prompts of width {unet.cross_attention_dim}, but its text encoder gives "
            f"{text.hidden_size}: they are of different models."
        )


def device_dtype() -> DType:
    """bfloat16 on TPUs and NVIDIA GPUs since Ampere, float16 on older GPUs, float32 on CPUs."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return "float32"
    capability = str(getattr(device, "compute_capability", ""))  # NVIDIA's are numbers
    if device.platform == "gpu" and re.fullmatch(r"[\d.]+", capability) and float(capability) < 8.0:
        return "float16"
    return "bfloat16"
