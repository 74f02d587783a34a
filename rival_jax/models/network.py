"""A network as a value: structure that is static under `jit`, weights that are an argument."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from flax import nnx


@partial(jax.tree_util.register_dataclass, data_fields=["state"], meta_fields=["graphdef", "config"])
@dataclass(frozen=True)
class Network:
    """An `nnx.Module` split in two, so that it passes through `jax.jit` without constants and without being rebuilt."""

    graphdef: nnx.GraphDef
    state: nnx.State
    config: Any

    def __repr__(self) -> str:
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.state))
        return f"<{parameters / 1e6:.1f} M parameters>"

    def module(self):
        """The module; inside `jit`."""
        return nnx.merge(self.graphdef, self.state)
