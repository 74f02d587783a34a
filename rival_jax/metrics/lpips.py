"""LPIPS of pairs of pictures: small where people find them alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax import checks
from rival_jax.errors import InputError
from rival_jax.metrics.pictures import in_batches
from rival_jax.models.lpips import ALEXNET, VGG16, LPIPSNetwork
from rival_jax.models.network import Network
from rival_jax.weights import load_state, plan_files
from rival_jax.weights.lpips_keys import LPIPS as TABLE

Net = Literal["vgg", "alex"]
Input = Literal["standard", "aid"]

_BATCH = 4
"""Pairs at once: pictures are read at their own size, and the first features are large."""
_TRUNKS = {"vgg": VGG16, "alex": ALEXNET}
_STATISTICS = {
    "standard": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "aid": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation with which pixels in [0, 1] are normalised before the network's own scaling layer."""


@dataclass(frozen=True)
class LPIPS:
    """The learned perceptual metric, in float32. Made by `from_pretrained`.

    network: its weights, on every device.
    lpips_input: "standard" or "aid", how pixels are normalised.
    """

    network: Network
    lpips_input: Input

    @classmethod
    def from_pretrained(
        cls,
        trunk_file: str | Path,
        heads_file: str | Path | None = None,
        net: Net = "vgg",
        lpips_input: Input = "standard",
    ) -> LPIPS:
        """Reads published weights: safetensors, or torch's files, without torch.

        Args:
            trunk_file: torchvision's VGG16 or AlexNet (`vgg16-397923af.pth`, `alexnet-owt-7be5be79.pth`).
            heads_file: the `lpips` package's, of version 0.1 (`vgg.pth`, `alex.pth`). None where `trunk_file` is the
                whole state of that package's `LPIPS`.
            net: which of the two networks.
            lpips_input: "standard" gives the network pixels in [-1, 1], which it was made for; "aid" pixels in [0, 1]
                normalised by ImageNet's mean and standard deviation, as AID's published code does.

        Raises InputError for files that cannot be read or are another network's.
        Source: https://arxiv.org/abs/1801.03924.
        """
        checks.choice("net", net, tuple(_TRUNKS))
        checks.choice("lpips_input", lpips_input, tuple(_STATISTICS))
        files = [Path(file) for file in (trunk_file, heads_file) if file is not None]
        wanted = f"LPIPS with net=\"{net}\" (torchvision's trunk and the lpips package's heads, or its whole state)"
        parts = plan_files(files, LPIPSNetwork, _TRUNKS[net], TABLE, wanted)
        return cls(Network(parts.graphdef, load_state(parts), parts.config), lpips_input)

    def __call__(self, images: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Distances (n,) float32, 0 or more, of each of `images` (n, H, W, 3) uint8 and its own of `others`, n >= 1.

        Raises InputError for other arrays, and for pictures too small for the network: 16 pixels a side for VGG16, 31
        for AlexNet.
        """
        _check(images, others, self.network.config.smallest)
        pairs = np.stack([images, others], axis=1)
        return in_batches(partial(_distances, self.network, self.lpips_input), pairs, min(len(pairs), _BATCH))


def _check(images: np.ndarray, others: np.ndarray, smallest: int) -> None:
    if not images.shape == others.shape or images.ndim != 4 or images.shape[-1] != 3 or not len(images):
        raise InputError(
            f"LPIPS compares pictures with as many others of their size, (n, H, W, 3) with n >= 1, not {images.shape} "
            f"with {others.shape}."
        )
    if not images.dtype == others.dtype == np.uint8:
        raise InputError(f"LPIPS compares pictures in uint8, not in {images.dtype} and {others.dtype}.")
    height, width = images.shape[1:3]
    if min(height, width) < smallest:
        raise InputError(
            f"Pictures of {height} x {width} pixels are too small for this LPIPS; accepted: {smallest} or more a side."
        )


@partial(jax.jit, static_argnames=("lpips_input",))
def _distances(network: Network, lpips_input: Input, pairs: jax.Array) -> jax.Array:
    """(b,) of pairs (b, 2, H, W, 3) uint8; pictures that are the same are 0 apart, whatever rounding makes of them."""
    mean, std = (np.asarray(values, np.float32).reshape(1, 1, 1, 1, 3) for values in _STATISTICS[lpips_input])
    pixels = (pairs.astype(np.float32) / 255 - mean) / std
    with jax.default_matmul_precision("highest"):
        distances = network.module()(pixels[:, 0], pixels[:, 1])
    return jnp.where((pairs[:, 0] == pairs[:, 1]).all(axis=(1, 2, 3)), 0, distances)
