"""What a network makes of prompts, timesteps and control images, whatever the latents: computed once a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh

from rival_jax.devices import BY_EXEMPLAR, SAME, over
from rival_jax.kernels import KeysValues
from rival_jax.models.network import Network


@partial(jax.tree_util.register_dataclass, data_fields=["texts", "times", "image"], meta_fields=[])
@dataclass(frozen=True)
class Read:
    """texts: keys and values (e, ..., m, h, k) of every cross-attention layer, in the order of use.

    times: (t, d), embedded timesteps. image: (e, y, x, c), embedded control images; a UNet has none.
    """

    texts: list[KeysValues]
    times: jax.Array
    image: jax.Array | None = None


READ: Any = Read(BY_EXEMPLAR, SAME, BY_EXEMPLAR)  # pyright: ignore[reportArgumentType]
"""Which of it a device has."""


@partial(jax.jit, static_argnames="mesh")
def read(
    network: Network, text: jax.Array, timesteps: jax.Array, image: jax.Array | None = None, *, mesh: Mesh
) -> Read:
    """Reads prompts' hidden states (e, ..., m, d), timesteps (t,), 0 ... 999, and what a ControlNet is shown
    (e, H, W, 3), 0 ... 1."""

    def program(network, text, timesteps, image):
        module = network.module()
        rows = module.read(text.reshape(-1, *text.shape[-2:]))
        texts = jax.tree.map(lambda x: x.reshape(*text.shape[:-2], *x.shape[1:]), rows)
        return Read(texts, module.embed_time(timesteps), None if image is None else module.embed_condition(image))

    shares = (SAME, BY_EXEMPLAR, SAME, BY_EXEMPLAR)
    return over(mesh, program, shares, READ)(network, text, timesteps, image)
