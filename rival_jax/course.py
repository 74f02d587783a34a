"""What a generation follows: the chain, the prompts, and what an application adds to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from rival_jax.chain import Kept
from rival_jax.conditioning import Conditioning
from rival_jax.devices import BY_EXEMPLAR, BY_VARIATION, CHAIN, SAME, cut, mesh_for, place
from rival_jax.models.network import Network
from rival_jax.options import Solver
from rival_jax.reading import READ, Read, read, read_of
from rival_jax.schedule import Schedule
from rival_jax.shapes import ChainLatents, EndsLatents, Guidance, Hole

Networks = tuple[Network, ...]
"""The UNet, then the ControlNets."""


@partial(jax.tree_util.register_dataclass, data_fields=["image", "scale"], meta_fields=[])
@dataclass(frozen=True)
class Control:
    """What one ControlNet is shown: pictures (e, H, W, 3) float32, 0 ... 1; and the weight of what it adds."""

    image: jax.Array | np.ndarray
    scale: jax.Array | np.ndarray


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["chain", "told", "guidance", "kept", "hole", "null", "controls", "between", "own", "scales", "words"],
    meta_fields=["solver", "plain_pictures"],
)
@dataclass(frozen=True)
class Course:
    """What no step changes, of all exemplars and variations.

    chain: (T + 1, e, y, x, c), index 0 clean; of two ends (T + 1, e, 2, y, x, c).
    told: (e, 4, ...) of the source and the empty prompt, which references are told, then of the target and the negative
        prompt, which the two guidance halves are. With two ends theirs come first.
    guidance: (e, n) float32, weight of the target against the negative prompt.
    kept: the reference's states, where the inversion kept them.
    hole: (e, y, x, 1) bool; where it is False the latents are the chain's own at every step. None: True everywhere.
    null: (T, e, m, d), of each step in place of the negative prompt's tokens; index t - 1 is for the step from t.
    controls: one for each ControlNet.
    between: (e, n) float32, 0 ... 1, where variations lie between the two ends.
    own: (e, n, ...) of each variation in place of the target prompt.
    scales: weights of an IP-Adapter's pictures where there are such: of two ends (e, 2), and of variations (e, n).
    plain_pictures: whether each row attends to its pictures alone, whatever prompts are attended to by.
    words: (e, m) int32, which of the source prompt's tokens each of the target's stands for, or -1.
    solver: "ddim", or "dpm++" (DPM-Solver++, second order).
    """

    chain: ChainLatents | EndsLatents
    told: Conditioning
    guidance: Guidance
    kept: Kept | None = None
    hole: Hole | None = None
    null: jax.Array | np.ndarray | None = None
    controls: tuple[Control, ...] = ()
    solver: Solver = "ddim"
    between: Guidance | None = None
    own: Conditioning | None = None
    scales: tuple[jax.Array | np.ndarray, jax.Array | np.ndarray] | None = None
    plain_pictures: bool = False
    words: jax.Array | np.ndarray | None = None

    @property
    def steps(self) -> int:
        return len(self.chain) - 1

    def references(self, t: jax.Array) -> jax.Array:
        """Latents (e, 1 or 2, y, x, c) of the references at an index into the chain."""
        return jnp.asarray(self.chain)[t] if self.between is not None else jnp.asarray(self.chain)[t][:, None]

    def part(self, exemplars: slice, variations: slice) -> Course:
        """The course of some of them."""
        chosen = {"exemplars": exemplars, "variations": variations}
        return jax.tree.map(lambda axes, own: cut(own, axes, chosen), self.axes, self)

    def placed(self, sizes: dict[str, int]) -> Course:
        """All of it where programs for `sizes` exemplars and variations want it."""
        mesh = mesh_for(sizes["exemplars"], sizes["variations"])
        return jax.tree.map(lambda axes, own: place(mesh, own, axes, sizes), self.axes, self)

    @property
    def axes(self) -> Any:
        """Which axes its arrays have."""
        control = Control(BY_EXEMPLAR, SAME)  # pyright: ignore[reportArgumentType]
        arrays = (CHAIN, BY_EXEMPLAR, BY_VARIATION, CHAIN, BY_EXEMPLAR, CHAIN)
        more = ((control,) * len(self.controls), self.solver, BY_VARIATION, BY_VARIATION)
        more += (self.scales and (BY_EXEMPLAR, BY_VARIATION), self.plain_pictures, BY_EXEMPLAR)
        return Course(*arrays, *more)  # pyright: ignore[reportArgumentType]


@partial(jax.tree_util.register_dataclass, data_fields=["levels", "second_order", "reads", "own"], meta_fields=[])
@dataclass(frozen=True)
class Known:
    """What is known of all steps before the first.

    levels: (T + 1,) float32, cumulative alphas of the chain.
    second_order: (T + 1,) float32, how far a step looks ahead from its clean latents; None for DDIM.
    reads: what the UNet, then each ControlNet, makes of prompts, timesteps and pictures.
    own: what the UNet makes of the variations' own prompts, where they have such.
    """

    levels: jax.Array | np.ndarray
    second_order: jax.Array | np.ndarray | None
    reads: tuple[Read, ...]
    own: Read | None = None

    @property
    def axes(self) -> Any:
        """Which axes its arrays have."""
        own = None if self.own is None else read_of(BY_VARIATION)
        return Known(SAME, SAME, (READ,) * len(self.reads), own)  # pyright: ignore[reportArgumentType]


@partial(jax.tree_util.register_dataclass, data_fields=["x", "clean"], meta_fields=[])
@dataclass(frozen=True)
class State:
    """What a step hands to the next: latents (e, n, y, x, c), and for a second-order step what they were cleaned to."""

    x: jax.Array
    clean: jax.Array | None = None


def study(networks: Networks, schedule: Schedule, course: Course, *, mesh: Mesh) -> Known:
    """Reads a course that is placed on `mesh`: with the UNet, and with each ControlNet after it."""
    steps, (unet, *controls) = course.steps, networks
    timesteps = schedule.timesteps(steps)
    reads = [read(unet, course.told, timesteps, mesh=mesh)]
    for network, control in zip(controls, course.controls, strict=True):
        reads.append(read(network, course.told, timesteps, control.image, mesh=mesh))
    own = None if course.own is None else read(unet, course.own, timesteps[:0], axes=BY_VARIATION, mesh=mesh)
    second_order = schedule.second_order(steps) if course.solver == "dpm++" else None
    return Known(schedule.levels(steps), second_order, tuple(reads), own)
