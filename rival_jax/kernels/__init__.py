"""Scaled dot-product attention over a shared context, an own one, or both: one function, several ways to compute it.

choice    which way suits a device, a dtype and a shape       dense    all scores at once, or cuDNN's flash kernel
chunked   a few scores at a time, in plain JAX                 pallas   a kernel for TPUs
"""

from rival_jax.kernels.choice import choose, obstacle
from rival_jax.kernels.dispatch import KeysValues, attention

__all__ = ["KeysValues", "attention", "choose", "obstacle"]
