"""What an interpolation is asked for, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rival_jax import checks
from rival_jax.errors import InputError
from rival_jax.interpolation.coefficients import beta_coefficients, check_shape
from rival_jax.interpolation.mixing import warmup_steps
from rival_jax.options import CHOICES, KINDS, SLERP_AXES, Align, Backend, Choice, Kind, SlerpAxis
from rival_jax.stages import Stage, Stages, in_runs

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""How different pictures (n, H, W, 3) uint8 are from as many others: (n,), 0 or more."""

_ALIGNS = ("none", "latent")


@dataclass(frozen=True)
class InterpolationRequest:
    """The arguments of `RivalPipeline.interpolate`, which explains them."""

    num_frames: int
    kind: Kind
    fused: bool
    warmup_ratio: float
    coefficients: Choice | Any
    alpha: float
    beta: float
    exploration_size: int
    slerp_axis: SlerpAxis
    align: Align | None
    t_early: float

    def check(self) -> None:
        """Raises InputError for what is out of its range whatever the conditions are."""
        if not checks.is_whole(self.num_frames) or not 3 <= self.num_frames <= checks.MOST:
            raise InputError(
                f"num_frames is {self.num_frames!r}, but must be a whole number from 3 to {checks.MOST}: "
                "the two ends and what is between."
            )
        checks.choice("kind", self.kind, KINDS)
        checks.choice("slerp_axis", self.slerp_axis, SLERP_AXES)
        if self.align is not None:
            checks.choice("align", self.align, _ALIGNS)
        checks.boundary("t_early", self.t_early)
        check_shape(self.alpha, self.beta)
        if not checks.is_number(self.warmup_ratio) or not 0 <= self.warmup_ratio <= 1:
            raise InputError(f"warmup_ratio is {self.warmup_ratio!r}, but must be from 0 to 1.")
        if isinstance(self.coefficients, str):
            checks.choice("coefficients", self.coefficients, CHOICES)
        is_enough = checks.is_whole(self.exploration_size) and self.exploration_size >= self.num_frames
        if isinstance(self.coefficients, str) and self.coefficients == "explore" and not is_enough:
            raise InputError(
                f"exploration_size is {self.exploration_size!r}, but must be at least num_frames, {self.num_frames}."
            )

    def fixed(self, pairs: int) -> np.ndarray | None:
        """Coefficients (E, n) that need no frame to be known; None where frames are to be tried.

        Raises InputError for given ones that do not rise from 0 to 1.
        """
        if isinstance(self.coefficients, str):
            if self.coefficients != "beta":
                return None
            rows = np.tile(beta_coefficients(self.num_frames, self.alpha, self.beta), (pairs, 1))
            if not _rises(rows):
                raise InputError(
                    f"alpha {self.alpha!r} and beta {self.beta!r} leave {self.num_frames} frames no coefficients of "
                    "their own between 0 and 1; take larger or more moderate ones."
                )
            return rows
        try:
            given = np.asarray(self.coefficients, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"coefficients is {self.coefficients!r}, but must be numbers or {CHOICES}.") from error
        if given.shape not in ((self.num_frames,), (pairs, self.num_frames)):
            raise InputError(
                f"coefficients has the shape {given.shape}, but must be ({self.num_frames},), one a frame, or "
                f"({pairs}, {self.num_frames})."
            )
        rows = np.broadcast_to(given, (pairs, self.num_frames))
        if not _rises(rows):
            raise InputError("coefficients must rise from 0 to 1, and those between the ends lie within.")
        return rows

    def stages(self, timesteps: np.ndarray, backend: Backend | None, *, of_photos: bool) -> Stages:
        """The plan for the frames between the ends, which may both be photos.

        Source: AID's warm-up; RIVAL Eq. 7-8 (t > t_early aligns).
        """
        align: Align = self.align or ("latent" if of_photos else "none")
        first = warmup_steps(len(timesteps), self.warmup_ratio)

        def stage(number: int, timestep: int) -> Stage:
            aligned = align if timestep > self.t_early else "none"
            if number < first:
                return Stage("concat" if self.fused else "replace", aligned, 2, backend, self.kind)
            return Stage("plain", aligned, 0, backend)

        each = (stage(number, timestep) for number, timestep in enumerate(timesteps[::-1].tolist()))
        return in_runs(each)


def _rises(rows: np.ndarray) -> bool:
    """Whether coefficients (E, n) rise from 0 to 1, in float32 as frames are drawn."""
    drawn = rows.astype(np.float32)
    return bool((rows[:, [0, -1]] == [0, 1]).all() and (np.diff(drawn, axis=1) > 0).all())


def mixing_steps(plan: Stages) -> int:
    """In how many steps of it attention is interpolated."""
    return sum(count for stage, count in plan if stage.kind)
