"""Which frames a sequence shows: those of given coefficients, or of coefficients that are found by trying."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rival_jax.interpolation.coefficients import beta_coefficients
from rival_jax.interpolation.exploration import Asking, Explored, explore, in_step
from rival_jax.interpolation.paths import smoothest_path
from rival_jax.interpolation.request import Distance, InterpolationRequest
from rival_jax.interpolation.search import search_beta
from rival_jax.interpolation.sequence import Interpolation
from rival_jax.steps import Progress


@dataclass(frozen=True)
class Frame:
    """A picture (H, W, 3) uint8 and its latents (h, w, c)."""

    picture: np.ndarray
    latents: jax.Array


Frames = list[list[Frame]]
"""A list for each of E sequences."""
Make = Callable[[np.ndarray, Progress], Frames]
"""Frames at coefficients (E, m), above 0 and below 1."""
Chooser = Callable[[Frames, Make, Progress], Interpolation]
"""A sequence of both ends (E lists of two) and of frames that are made for it."""


def chooser(asked: InterpolationRequest, pairs: int, mixing_steps: int, measure: Distance) -> Chooser:
    """How the frames of E = `pairs` sequences are found, whose attention is mixed in so many steps.

    Raises InputError for what is out of its range, before anything is made.
    """
    fixed, n = asked.fixed(pairs), asked.num_frames

    def distance(one: Frame, other: Frame) -> float:
        return float(measure(one.picture[None], other.picture[None])[0])

    shape = (asked.alpha, asked.beta) if isinstance(asked.coefficients, str) else (np.nan, np.nan)
    if fixed is not None:
        return partial(_given, measure, fixed, np.tile(shape, (pairs, 1)))
    if asked.coefficients == "search":
        return partial(_searched, measure, n, [search_beta(distance, mixing_steps) for _ in range(pairs)])
    size, alpha, beta = asked.exploration_size, asked.alpha, asked.beta
    searches = [explore(distance, size, alpha=alpha, beta=beta) for _ in range(pairs)]
    return partial(_explored, measure, n, searches)


def _given(
    distance: Distance, coefficients: np.ndarray, shapes: np.ndarray, ends: Frames, make: Make, progress: Progress
) -> Interpolation:
    made = make(coefficients[:, 1:-1], progress)
    frames = [[start, *between, end] for (start, end), between in zip(ends, made, strict=True)]
    return _sequence(frames, coefficients, shapes, distance)


def _searched(
    distance: Distance, n: int, searches: Sequence[Asking], ends: Frames, make: Make, progress: Progress
) -> Interpolation:
    shapes = np.asarray(in_step(searches, _one_each(ends, make, "search", progress)))
    coefficients = np.stack([beta_coefficients(n, *shape) for shape in shapes])
    return _given(distance, coefficients, shapes, ends, make, progress)


def _explored(
    distance: Distance, n: int, searches: Sequence[Asking], ends: Frames, make: Make, progress: Progress
) -> Interpolation:
    found: list[Explored[Frame]] = in_step(searches, _one_each(ends, make, "exploration", progress))
    paths = [smoothest_path(_all_distances(distance, own.frames), n) for own in found]
    frames = [[own.frames[i] for i in path] for own, path in zip(found, paths, strict=True)]
    coefficients = np.stack([own.coefficients[path] for own, path in zip(found, paths, strict=True)])
    return _sequence(frames, coefficients, np.array([[own.alpha, own.beta] for own in found]), distance)


def _one_each(ends: Frames, make: Make, stage: str, progress: Progress) -> Callable[[np.ndarray], list[Frame]]:
    """What makes one frame of each sequence, at coefficients (E,); the ends are there."""
    rounds = 0

    def one_each(asked: np.ndarray) -> list[Frame]:
        nonlocal rounds
        if np.isin(asked, (0, 1)).all():
            return [pair[int(t)] for pair, t in zip(ends, asked, strict=True)]
        rounds += 1
        return [frame for [frame] in make(asked[:, None], lambda _, done, of: progress(f"{stage} {rounds}", done, of))]

    return one_each


def _sequence(frames: Frames, coefficients: np.ndarray, shapes: np.ndarray, distance: Distance) -> Interpolation:
    pictures = np.stack([np.stack([frame.picture for frame in row]) for row in frames])
    latents = jnp.stack([jnp.stack([frame.latents for frame in row]) for row in frames])
    neighbours = np.stack([distance(row[:-1], row[1:]) for row in pictures])
    return Interpolation(pictures, latents, coefficients, neighbours, shapes)


def _all_distances(distance: Distance, frames: Sequence[Frame]) -> np.ndarray:
    """(m, m), between any two of m frames."""
    pictures, (one, other) = np.stack([frame.picture for frame in frames]), np.triu_indices(len(frames), 1)
    found = np.zeros((len(frames), len(frames)))
    found[one, other] = found[other, one] = distance(pictures[one], pictures[other])
    return found
