"""Training-free variation of real images with Stable Diffusion, in JAX."""

from rival_jax.errors import InputError
from rival_jax.inversion import Chain
from rival_jax.pipeline import RivalPipeline, Variations

__version__ = "0.1.0"

__all__ = ["Chain", "InputError", "RivalPipeline", "Variations", "__version__"]
