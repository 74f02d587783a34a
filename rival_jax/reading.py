"""What a network makes of prompts, timesteps and control images, whatever the latents: computed once a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from rival_jax.conditioning import Conditioning
from rival_jax.devices import BY_EXEMPLAR, SAME, over
from rival_jax.kernels import KeysValues
from rival_jax.models.network import Network


@partial(jax.tree_util.register_dataclass, data_fields=["texts", "times", "added", "image", "pictures"], meta_fields=[])
@dataclass(frozen=True)
class Read:
    """texts: keys and values (e, ..., m, h, k) of every cross-attention layer, in the order of use.

    times: (t, d), embedded timesteps. added: (e, ..., d), what prompts add to these, or None.
    image: (e, y, x, c), embedded control images; a UNet has none.
    pictures: keys and values of an IP-Adapter's pictures, as texts; None without one.
    """

    texts: list[KeysValues]
    times: jax.Array
    added: jax.Array | None = None
    image: jax.Array | None = None
    pictures: list[KeysValues] | None = None

    def time(self, index: jax.Array) -> jax.Array:
        """The embedded timestep (b, d) of an index: one row for all, or where prompts (e) add to it one each."""
        time_1d = self.times[index][None]
        return time_1d if self.added is None else time_1d + self.added


def read_of(axes: Any) -> Any:
    """Which of a `Read` a device has, whose prompts have these axes."""
    return Read(axes, SAME, axes, BY_EXEMPLAR, axes)  # pyright: ignore[reportArgumentType]


READ = read_of(BY_EXEMPLAR)
"""Which of most."""


@partial(jax.jit, static_argnames=("axes", "mesh"))
def read(
    network: Network,
    told: Conditioning,
    timesteps: jax.Array,
    image: jax.Array | None = None,
    *,
    axes: PartitionSpec = BY_EXEMPLAR,
    mesh: Mesh,
) -> Read:
    """Reads what is told of prompts (e, ...), timesteps (t,), 0 ... 999, and what a ControlNet is shown
    (e, H, W, 3), 0 ... 1."""

    def program(network, told, timesteps, image):
        module, lead = network.module(), told.tokens.shape[:-2]
        rows = module.read(told.tokens.reshape(-1, *told.text))
        texts = jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), rows)
        added = told.added
        if added is not None:
            added = module.embed_added(added.reshape(-1, added.shape[-1])).reshape(*lead, -1)
        condition = None if image is None else module.embed_condition(image)
        return Read(texts, module.embed_time(timesteps), added, condition, told.pictures)

    shares = (SAME, axes, SAME, BY_EXEMPLAR)
    return over(mesh, program, shares, read_of(axes))(network, told, timesteps, image)
