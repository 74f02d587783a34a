"""How a concept is learnt; without importing JAX, so that `rival --help` is quick."""

from __future__ import annotations

from dataclasses import dataclass

from rival_jax.options import Learner


@dataclass(frozen=True)
class Settings:
    """The arguments of `learn_concept`."""

    token: str = "<sks>"
    """What stands for the concept in prompts: one word that the model does not know."""
    method: Learner = "textual-inversion"
    """Learn vectors for the token, thin matrices beside the UNet's attention, or all of the UNet."""
    initializer_token: str | None = None
    """A word for what the photos show. The token begins as it, or, for lora and dreambooth, stands before it."""
    class_prompt: str | None = None
    """Prior preservation, for lora and dreambooth: what the model itself makes of this prompt is learnt beside the
    photos, so that it forgets nothing else."""
    num_class_images: int = 32
    """How many such pictures."""
    prior_loss_weight: float = 1.0
    """What they weigh."""
    num_vectors: int = 1
    """Vectors of the token (textual inversion)."""
    rank: int = 4
    """Of the thin matrices (lora)."""
    num_steps: int = 500
    """Training steps."""
    batch_size: int = 4
    """Photos a step, and as many pictures of the class."""
    learning_rate: float | None = None
    """Of AdamW; by default 5e-3 (textual inversion), 1e-3 (lora) or 1e-5 (dreambooth)."""
    seed: int = 0
    """0 to 4294967295."""
