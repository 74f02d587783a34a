"""Pictures that the embedded model never saw the like of, with captions that say what they show."""

from __future__ import annotations

import numpy as np

from rival_jax.training import world

_SEED = 1_000_003
"""Of scenes that no training draws."""


def draw_exemplars(count: int, size: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pictures (count, size, size, 3) uint8 in held-out palettes, lightings and styles by turns, and their captions.

    A caption names the thing and the place and no colour, which the grading has changed.
    """
    pictures, captions = [], []
    for index in range(count):
        rng = np.random.default_rng([_SEED, index])
        scene = world.sample_scene(rng, graded=False)
        grade = world.ODD_GRADES[index % len(world.ODD_GRADES)]
        pictures.append(np.asarray(world.grade_odd(world.draw(scene, size), grade)))
        captions.append(world.describe(scene, coloured=False))
    return np.stack(pictures), tuple(captions)
