"""Checkpoint files to network weights, and back.

locate     a model's name -> its directory        rules    the conversion engine
files      which files hold the weights           sd_keys  the key tables
headers    what is inside a file                  load     plan, then read
converted  a copy in final form for later starts  fingerprint  a model's files as one number
lora       LoRA files merged into networks        lora_keys    how they name the layers
textual_inversion  vectors for new tokens
"""

from rival_jax.weights.converted import load_state
from rival_jax.weights.load import CLIP, SAFETY_CHECKER, TEXT_ENCODER, UNET, VAE, Part, Plan, plan, zeros
from rival_jax.weights.locate import EMBEDDED, resolve
from rival_jax.weights.rules import export

__all__ = [
    "CLIP",
    "EMBEDDED",
    "SAFETY_CHECKER",
    "TEXT_ENCODER",
    "UNET",
    "VAE",
    "Part",
    "Plan",
    "export",
    "load_state",
    "plan",
    "resolve",
    "zeros",
]
