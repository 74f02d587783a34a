"""Training-free variation of real images with Stable Diffusion, in JAX."""

from typing import TYPE_CHECKING

from rival_jax.lazily import importing

if TYPE_CHECKING:
    from rival_jax.chain import Chain
    from rival_jax.controlnet import ControlNet
    from rival_jax.edges import canny
    from rival_jax.errors import InputError
    from rival_jax.interpolation.sequence import Interpolation
    from rival_jax.ip_adapter import IPAdapter
    from rival_jax.learning.concept import learn_concept
    from rival_jax.pipeline import RivalPipeline
    from rival_jax.variations import Variations

__version__ = "0.1.0"

__all__ = [
    "Chain",
    "ControlNet",
    "IPAdapter",
    "InputError",
    "Interpolation",
    "RivalPipeline",
    "Variations",
    "__version__",
    "canny",
    "learn_concept",
]

_HOMES = {
    "Chain": "chain",
    "canny": "edges",
    "learn_concept": "learning.concept",
    "ControlNet": "controlnet",
    "InputError": "errors",
    "Interpolation": "interpolation.sequence",
    "IPAdapter": "ip_adapter",
    "RivalPipeline": "pipeline",
    "Variations": "variations",
}

__getattr__ = importing(__name__, _HOMES)
"""The public names, imported when they are first asked for: `rival --help` need not wait for JAX."""
