"""A network as a value: structure that is static under `jit`, weights that are an argument."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
from flax import nnx


@partial(jax.tree_util.register_dataclass, data_fields=["state"], meta_fields=["graphdef"])
@dataclass(frozen=True)
class Network:
    """An `nnx.Module` split in two, so that it passes through `jax.jit` without constants and without being rebuilt."""

    graphdef: nnx.GraphDef
    state: nnx.State

    def module(self):
        """The module; inside `jit`."""
        return nnx.merge(self.graphdef, self.state)
