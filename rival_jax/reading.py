"""What the UNet makes of prompts and timesteps, whatever the latents: computed once a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh

from rival_jax.devices import BY_EXEMPLAR, SAME, over
from rival_jax.kernels import KeysValues
from rival_jax.models.network import Network


@partial(jax.tree_util.register_dataclass, data_fields=["texts", "times"], meta_fields=[])
@dataclass(frozen=True)
class Read:
    """texts: keys and values (e, ..., m, h, k) of every cross-attention layer, in the order of use.

    times: (t, d), embedded timesteps.
    """

    texts: list[KeysValues]
    times: jax.Array


READ: Any = Read(BY_EXEMPLAR, SAME)  # pyright: ignore[reportArgumentType]
"""Which of it a device has."""


@partial(jax.jit, static_argnames="mesh")
def read(unet: Network, text: jax.Array, timesteps: jax.Array, *, mesh: Mesh) -> Read:
    """Reads prompts' hidden states (e, ..., m, d) and timesteps (t,), 0 ... 999."""

    def program(unet, text, timesteps):
        network = unet.module()
        rows = network.read(text.reshape(-1, *text.shape[-2:]))
        texts = jax.tree.map(lambda x: x.reshape(*text.shape[:-2], *x.shape[1:]), rows)
        return Read(texts, network.embed_time(timesteps))

    return over(mesh, program, (SAME, BY_EXEMPLAR, SAME), READ)(unet, text, timesteps)
