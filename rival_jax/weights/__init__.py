"""Checkpoint files to network weights, and back.

locate       a model's name -> its directory             rules          the conversion engine
files        which files hold the weights                sd_keys        the key tables
single_file  all networks in one file                    original_keys  the names of their tensors
headers      what is inside a file                       load           plan, then read
pickles      ... where it is a pickle, without its code  stored         a tensor's place in a file
converted    a copy in final form for later starts       fingerprint    a model's files as one number
lora         LoRA files merged into networks             lora_keys      how they name the layers
textual_inversion  vectors for new tokens                lpips_keys     how LPIPS's files name its layers
"""

from rival_jax.weights.converted import load_state
from rival_jax.weights.load import (
    CLIP,
    CONTROLNET,
    IMAGE_ENCODER,
    SAFETY_CHECKER,
    TEXT_ENCODER,
    TEXT_ENCODER_2,
    UNET,
    VAE,
    Part,
    Plan,
    image_statistics,
    plan,
    plan_adapter,
    plan_files,
    zeros,
)
from rival_jax.weights.locate import EMBEDDED, resolve, resolve_network
from rival_jax.weights.rules import export

__all__ = [
    "CLIP",
    "CONTROLNET",
    "EMBEDDED",
    "IMAGE_ENCODER",
    "SAFETY_CHECKER",
    "TEXT_ENCODER",
    "TEXT_ENCODER_2",
    "UNET",
    "VAE",
    "Part",
    "Plan",
    "export",
    "image_statistics",
    "load_state",
    "plan",
    "plan_adapter",
    "plan_files",
    "resolve",
    "resolve_network",
    "zeros",
]
