"""A batch's rows over all local devices; on a CPU, where one program rarely fills the cores, every core is a device."""

from __future__ import annotations

import math
import os
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_MOST_CORES = 8


def use_all_cores() -> None:
    """Makes a device of every CPU core; call it before JAX's first use."""
    jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, _MOST_CORES))


def split_rows(tree: Any, rows: int) -> Any:
    """Arrays (rows, ...) spread over as many devices as divide `rows`."""
    return jax.device_put(tree, NamedSharding(_mesh(rows), PartitionSpec("rows")))


def replicate(tree: Any, rows: int) -> Any:
    """Arrays that every device of `split_rows` needs whole."""
    return jax.device_put(tree, NamedSharding(_mesh(rows), PartitionSpec()))


def _mesh(rows: int) -> Mesh:
    devices = jax.local_devices()
    return Mesh(np.array(devices[: math.gcd(rows, len(devices))]), ("rows",))
