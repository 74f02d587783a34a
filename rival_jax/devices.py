"""Work over several devices: exemplars and variations are split among them, and no device waits for another.

Everything runs under `jax.shard_map` on a mesh of exemplars x variations, also on one device, where the mesh is 1 x 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

SAME = P()
"""Every device has all of it."""
BY_EXEMPLAR = P("exemplars")
"""(e, ...)"""
CHAIN = P(None, "exemplars")
"""(t, e, ...)"""
BY_VARIATION = P("exemplars", "variations")
"""(e, n, ...)"""


def mesh_for(exemplars: int, variations: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
    """The devices of this process as the exemplars x variations on which the longest share of rows is shortest."""
    devices = jax.local_devices() if devices is None else devices
    count = len(devices)

    def rows(sides: tuple[int, int]) -> int:
        e, n = (-(-whole // side) for whole, side in zip((exemplars, variations), sides, strict=True))
        return e * (1 + 2 * n)

    shapes = [(count // side, side) for side in range(1, count + 1) if count % side == 0]
    return Mesh(np.asarray(devices).reshape(min(shapes, key=rows)), ("exemplars", "variations"))


def share(exemplars: int, variations: int) -> tuple[int, int]:
    """How many exemplars and variations of each one device has at the most."""
    mesh = mesh_for(exemplars, variations)
    return -(-exemplars // mesh.shape["exemplars"]), -(-variations // mesh.shape["variations"])


def one_device() -> Mesh:
    """A mesh of a single device."""
    return mesh_for(1, 1, jax.local_devices()[:1])


def everywhere() -> NamedSharding:
    """All of it on every device."""
    return NamedSharding(mesh_for(1), SAME)


def over(mesh: Mesh, program: Callable, in_specs: tuple, out_specs: Any) -> Callable:
    """`program` on every device's share of its arguments."""
    return jax.shard_map(program, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def cut(tree: Any, spec: P, parts: Mapping[str, slice]) -> Any:
    """Of a tree of arrays the part that `parts` has of each named axis."""
    return jax.tree.map(lambda x: x[tuple(parts.get(name, slice(None)) for name in spec)], tree)


def place(mesh: Mesh, tree: Any, spec: P, sizes: Mapping[str, int] = MappingProxyType({})) -> Any:
    """A tree of arrays where `over` wants them.

    An axis is filled up with its last entry, to its size in `sizes`, or until it divides.
    """

    def placed(x):
        for axis, name in enumerate(spec):
            wanted = max(sizes.get(name, 1), x.shape[axis])
            short = wanted + -wanted % mesh.shape[name] - x.shape[axis] if name else 0
            if short:
                last = lax.slice_in_dim(x, x.shape[axis] - 1, None, axis=axis)
                x = jnp.concatenate([x, *[last] * short], axis=axis)
        return jax.device_put(x, NamedSharding(mesh, spec))

    return jax.tree.map(placed, tree)
