"""Pictures as conditions of an interpolation: what an IP-Adapter is shown at its ends."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from rival_jax import checks
from rival_jax.errors import InputError
from rival_jax.images import load_whole
from rival_jax.interpolation.journey import Pictures
from rival_jax.ip_adapter import IPAdapter
from rival_jax.metrics.pictures import resized
from rival_jax.models.config import UNetConfig
from rival_jax.models.ip_adapter_config import cross_attention


@dataclass(frozen=True)
class Adapted:
    """An IP-Adapter, and pixels (E, H, W, 3) uint8 that it is shown at the start, if anything, and at the end."""

    adapter: IPAdapter
    start: np.ndarray | None
    end: np.ndarray
    scale: float
    is_scaled: bool

    def seen(self, pairs: int) -> Pictures:
        """What it sees of them."""
        nothing = jnp.repeat(self.adapter.see_nothing(), pairs, axis=0)
        start = nothing if self.start is None else self.adapter.see(self.start)
        seen = jnp.stack([start, self.adapter.see(self.end), nothing], axis=1)
        return Pictures(self.adapter.network, seen, jnp.float32(self.scale), self.is_scaled)


def adapted(
    adapter: IPAdapter | None, start, end, scale: float, is_scaled: bool, unet: UNetConfig, pairs: int
) -> Adapted | None:
    """What is asked for, of E pairs; None where it is nothing. Raises InputError for what does not go together."""
    if adapter is None:
        if start is not None or end is not None or is_scaled:
            raise InputError("image_start, image_end and scale_control are for an IP-Adapter; give ip_adapter too.")
        return None
    if not isinstance(adapter, IPAdapter):
        raise InputError(f"ip_adapter is {adapter!r}, but must be one IPAdapter.")
    if adapter.config.layers != cross_attention(unet):
        raise InputError(f"The IP-Adapter {adapter.file} was loaded for another model.")
    if end is None:
        raise InputError("image_end is missing: an IP-Adapter is shown a picture at the end, or at both ends.")
    if is_scaled and start is not None:
        raise InputError("image_start is given, but with scale_control only image_end is shown; leave it out.")
    checks.finite("ip_adapter_scale", scale)

    def pixels(name: str, given) -> np.ndarray:
        found = resized(load_whole(given), adapter.encoder.config.image_size)
        if len(found) not in (1, pairs):
            raise InputError(f"{name} has {len(found)} pictures for {pairs} sequences; give one, or one a sequence.")
        return np.broadcast_to(found, (pairs, *found.shape[1:]))

    first = None if start is None else pixels("image_start", start)
    return Adapted(adapter, first, pixels("image_end", end), float(scale), is_scaled)
