"""The plan of a generation: runs of steps with a fixed attention and a fixed alignment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import jax
import numpy as np

from rival_jax.attend import Between, FromKept, FromMaps, FromReference, FromReferenceMaps, Later, Plain
from rival_jax.chain import Kept
from rival_jax.models.attention import Attend, Prefix
from rival_jax.options import Align, Backend, Kind, Reference
from rival_jax.rows import Layout


@dataclass(frozen=True)
class Stage:
    """Steps that share one program. All of it is static."""

    attention: Literal["plain", "replace", "concat", "words", "maps", "weights"]
    """Whose keys and values are read: a row's own, the reference's, or both; or its own, weighed in cross-attention, in
    all, or in self-attention alone, as the reference weighs its own."""
    align: Align
    references: int
    """Reference rows of an exemplar; 0 too where the reference's states were kept from the inversion."""
    backend: Backend | None = None
    kind: Kind | None = None
    """How the two references are mixed for what lies between them; None where they are no ends of anything."""
    later: int = 0
    """Self-attention layers before this one attend to themselves."""
    injects: bool = False
    """Whether the features of a residual block are the reference's."""

    def layout(self, num_variations: int) -> Layout:
        """The rows of its calls."""
        return Layout(self.references, num_variations, self.kind is not None)

    def attend(
        self,
        layout: Layout,
        kept: Kept | None,
        coefficients_en: jax.Array | None = None,
        words_em: jax.Array | None = None,
    ) -> tuple[Attend, Prefix | None]:
        """Who attends to whom at a step, among all rows and among those before the first cross-attention.

        None where guidance's halves differ before that. `coefficients_en` say where rows lie between ends, `words_em`
        which of the reference's tokens theirs stand for.
        """
        if self.attention == "plain":
            return Plain(self.backend), Prefix(Plain(self.backend), layout.spread)
        if words_em is not None:
            maps = FromMaps(words_em, self.attention == "maps", self.backend)
            return maps, None if maps.positions else Prefix(Plain(self.backend), layout.spread)
        keep_own = self.attention == "concat"
        if self.kind is not None and coefficients_en is not None:
            return Between(coefficients_en, self.kind, keep_own, self.backend), None
        if kept:
            attend = FromKept(iter(kept.states), keep_own, self.backend)  # each layer takes its own, prefix or not
            return attend, Prefix(attend, layout.spread)
        if self.later:
            whole = FromReference(layout.group, keep_own, self.backend)
            chosen = FromReferenceMaps(layout.group, self.backend) if self.attention == "weights" else whole
            attend = Later(chosen, self.later, self.backend)  # it counts the layers, prefix or not
            return attend, Prefix(attend, layout.spread)
        few = FromReference(1 + layout.num_variations, keep_own, self.backend)
        return FromReference(layout.group, keep_own, self.backend), Prefix(few, layout.spread)


Stages = list[tuple[Stage, int]]
"""From the noisiest step to the cleanest, each with its number of steps."""


def in_runs(each: Iterable[Stage]) -> Stages:
    """The plan of steps whose stages are these, one after the other."""
    return [(stage, len(list(group))) for stage, group in groupby(each)]


def stages(
    timesteps: np.ndarray,
    *,
    t_align: float,
    t_early: float,
    attention_start: float,
    align: Align,
    reference: Reference,
    kept: bool = False,
    backend: Backend | None = None,
) -> Stages:
    """The stages of a generation at these timesteps.

    Source: RIVAL Eq. 3 (t > t_align replaces keys and values), Eq. 7-8 (t > t_early aligns); `attention_start` is the
    authors' `editing_early_steps`: while t > attention_start the generated rows attend to themselves. `kept` says that
    the reference's states were kept from the inversion and need no rows.
    """

    def stage(timestep: int) -> Stage:
        attention = "plain" if timestep > attention_start else "replace" if timestep > t_align else "concat"
        aligned = align if timestep > t_early else "none"
        references = {"shared": 1, "paired": 2}[reference] if attention != "plain" else int(aligned == "noise")
        return Stage(attention, aligned, 0 if kept else references, backend)

    return in_runs(map(stage, timesteps[::-1].tolist()))
