"""Which attention kernel suits: conditions on the device, the dtype and the shape, in one place."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.options import Backend

_FEW_KEYS = 256
"""Up to so many keys, text for instance, all scores at once are cheap anywhere."""
_WIDEST_ON_TPU = 256
"""Wider blocks would crowd the chip's memory."""
_MOST_SCORES = 2**28
"""Bytes of float32 scores that are made at once at the most."""


def choose(dtype, *, rows: int, queries: int, keys: int, heads: int, width: int, device: Any = None) -> Backend:
    """The kernel for rows x heads x queries x keys scores of heads of this width.

    - "dense" for 256 keys or fewer, and wherever nothing below holds;
    - "cudnn" on NVIDIA GPUs from Ampere on, for 16-bit numbers and widths that are multiples of 8 up to 128 (on
      Hopper 256);
    - "pallas" on TPUs, for widths up to 256;
    - "chunked" elsewhere, where the scores would take more than 256 MiB.
    """
    device = jax.devices()[0] if device is None else device
    if keys <= _FEW_KEYS:
        return "dense"
    for kernel in ("cudnn", "pallas"):
        if not obstacle(kernel, dtype, width, device):
            return kernel
    scores = 4 * np.prod([rows, heads, queries, keys], dtype=np.int64)
    return "chunked" if scores > _MOST_SCORES else "dense"


def obstacle(backend: Backend, dtype, width: int, device: Any = None) -> str:
    """Why the device cannot run a kernel on heads of this width; nothing where it can."""
    device = jax.devices()[0] if device is None else device
    if backend == "pallas":
        if device.platform != "tpu":
            return f"it is for TPUs, the device is a {device.platform}"
        if width > _WIDEST_ON_TPU:
            return f"it is for widths up to {_WIDEST_ON_TPU}, a head here has {width}"
    if backend == "cudnn":
        capability = _capability(device) if device.platform == "gpu" else 0.0
        widest = 256 if capability == 9.0 else 128
        if capability < 8:
            return "it is for NVIDIA GPUs from Ampere on"
        if jnp.dtype(dtype).itemsize != 2:
            return f"it is for 16-bit numbers, not {jnp.dtype(dtype)}"
        if width % 8 or width > widest:
            return f"it is for widths that are multiples of 8 up to {widest}, a head here has {width}"
    return ""


def _capability(device: Any) -> float:
    """An NVIDIA GPU's compute capability; 0 for another maker's."""
    try:
        return float(getattr(device, "compute_capability", 0))
    except ValueError:  # AMD's are names
        return 0.0
