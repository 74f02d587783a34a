"""Requests of any size: as many exemplars and variations at once as the devices' memory holds, the rest afterwards."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import jax

from rival_jax.errors import is_out_of_memory

T = TypeVar("T")

_SHARE = 0.9
"""Of the free memory that is planned for."""
_UNKNOWN = 2**62
"""Whoever runs there knows what fits; else batches are halved."""
_UNDIVIDED = ContextVar("_UNDIVIDED", default=False)


@contextmanager
def undivided() -> Iterator[None]:
    """Every request of this thread is one batch meanwhile, whatever memory says; running out of it is raised.

    For who needs the same bits again: another shape of a batch changes the last ones of a picture.
    """
    before = _UNDIVIDED.set(True)
    try:
        yield
    finally:
        _UNDIVIDED.reset(before)


def free_bytes() -> int:
    """Memory of one device that nothing holds. On a CPU the host's, shared by its devices."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        return stats.get("bytes_limit", _UNKNOWN) - stats.get("bytes_in_use", 0)
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        [available] = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
    except (OSError, ValueError):  # no Linux
        return _UNKNOWN
    return available * 1024 // len(jax.local_devices())


def fitting(exemplars: int, variations: int, needed: Callable[[int], int], free: int) -> tuple[int, int]:
    """How many exemplars and variations of each run at once on one device, at least 1 and 1; no batch is much smaller.

    needed: the bytes that one exemplar takes with so many variations. Variations of one exemplar stay together where
    they can, since they share its reference.
    """
    free = int(free * _SHARE)
    whole = needed(variations)
    if whole <= free:
        return _even(exemplars, free // max(whole, 1)), variations
    most = bisect_right(range(1, variations), free, key=needed)
    return 1, _even(variations, max(most, 1))


def _even(count: int, most: int) -> int:
    """The size of batches of at most `most` that are as equal as can be."""
    return -(-count // -(-count // min(most, count)))


@dataclass(frozen=True)
class Batch:
    """What runs together: which exemplars and variations, and how many at the most in batches like it."""

    exemplars: slice
    variations: slice
    size: tuple[int, int]
    done: int
    """Batches before this one."""
    count: int
    """Batches in all."""

    @property
    def sizes(self) -> dict[str, int]:
        """`size` by the names of a mesh's axes."""
        return dict(zip(("exemplars", "variations"), self.size, strict=True))


def in_batches(run: Callable[[Batch], T], exemplars: int, variations: int, size: tuple[int, int]) -> list[list[T]]:
    """What `run` makes of all exemplars and variations in batches of `size`: a list for each batch of exemplars.

    Where a device's memory does not suffice after all, the batches that are left are halved, once, with a warning.
    Under `undivided` all is one batch, and it is not halved.
    """
    if _UNDIVIDED.get():
        return [[run(Batch(slice(0, exemplars), slice(0, variations), (exemplars, variations), 0, 1))]]
    left = deque(_pieces(slice(0, exemplars), slice(0, variations), size))
    rows: dict[int, list[T]] = {}
    done, halved = 0, False
    while left:
        es, ns = left[0]
        try:
            rows.setdefault(es.start, []).append(run(Batch(es, ns, size, done, done + len(left))))
        except jax.errors.JaxRuntimeError as error:
            if halved or size == (1, 1) or not is_out_of_memory(error):
                raise
            halved = True
            size = (-(-size[0] // 2), size[1]) if size[0] > 1 else (1, -(-size[1] // 2))
            left = deque(piece for box in left for piece in _pieces(*box, size))
            text = f"Too little memory: going on with {size[0]} exemplars x {size[1]} variations at once."
            warnings.warn(text, stacklevel=2)
            continue
        left.popleft()
        done += 1
    return list(rows.values())


def _pieces(es: slice, ns: slice, size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """A box in boxes of at most this size, in order."""
    return [
        (slice(e, min(e + size[0], es.stop)), slice(n, min(n + size[1], ns.stop)))
        for e, n in product(range(es.start, es.stop, size[0]), range(ns.start, ns.stop, size[1]))
    ]
