"""Many scenes, drawn by as many processes as there are cores: what the networks train on and are measured with."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from rival_jax.training.world import Scene, describe, draw, example, sample_scene

_CHUNK = 250
T = TypeVar("T")


def make_dataset(count: int, seed: int, size: int = 48, processes: int | None = None) -> tuple[np.ndarray, list[str]]:
    """Pictures as uint8 (count, size, size, 3) and their captions; a seed gives the same ones for any `processes`.

    `processes` defaults to the CPU count; processes are spawned, so a script needs its `if __name__ == "__main__"`.
    Up to 250 pictures are drawn without any.
    """
    parts = _in_chunks(partial(_captioned, seed=seed, size=size), count, processes)
    return np.concatenate([pictures for pictures, _ in parts]), [text for _, texts in parts for text in texts]


@dataclass(frozen=True)
class Labelled:
    """Ungraded pictures (n, H, W, 3) uint8, all that they show in words, and the names of thing and colour, (n,)."""

    pictures: np.ndarray
    captions: tuple[str, ...]
    objects: np.ndarray
    colours: np.ndarray

    def first(self, count: int) -> Labelled:
        """The first `count` of them."""
        return Labelled(self.pictures[:count], self.captions[:count], self.objects[:count], self.colours[:count])


def labelled(count: int, seed: int, size: int = 48, processes: int | None = None) -> Labelled:
    """Pictures that say what they show; a longer list begins with the shorter. `processes` as in `make_dataset`."""
    parts = _in_chunks(partial(_ungraded, seed=seed, size=size), count, processes)
    pictures, scenes = np.concatenate([part for part, _ in parts]), [scene for _, part in parts for scene in part]
    names = (np.array([getattr(scene, kind) for scene in scenes]) for kind in ("object", "colour"))
    return Labelled(pictures, tuple(map(describe, scenes)), *names)


def _captioned(indices: range, seed: int, size: int) -> tuple[np.ndarray, list[str]]:
    examples = [example(seed, index) for index in indices]
    return _pictures([scene for scene, _ in examples], size), [text for _, text in examples]


def _ungraded(indices: range, seed: int, size: int) -> tuple[np.ndarray, list[Scene]]:
    scenes = [sample_scene(np.random.default_rng([seed, index]), graded=False) for index in indices]
    return _pictures(scenes, size), scenes


def _pictures(scenes: list[Scene], size: int) -> np.ndarray:
    return np.stack([np.asarray(draw(scene, size)) for scene in scenes])


def _in_chunks(work: Callable[[range], T], count: int, processes: int | None) -> list[T]:
    """What `work` makes of 0 ... count - 1, a chunk each, in order."""
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    processes = min(processes or os.cpu_count() or 1, len(chunks))
    if processes == 1:
        return [work(chunk) for chunk in chunks]
    with get_context("spawn").Pool(processes) as pool:
        return pool.map(work, chunks, chunksize=1)
