"""An end that is the start, edited: drawn from the same noise with the start's attention maps."""

from __future__ import annotations

import math
from difflib import SequenceMatcher

import numpy as np

from rival_jax.options import Backend
from rival_jax.stages import Stage, Stages

_CROSS, _SELF = 0.8, 0.4
"""Shares of the steps, from the first, in which the maps of words, and of positions too, are the start's."""


def edited_stages(num_inference_steps: int, backend: Backend | None) -> Stages:
    """The plan of the end. Source: Prompt-to-Prompt, section 3.2; the shares are its authors' code's."""
    maps, words = (math.floor(num_inference_steps * share) for share in (_SELF, _CROSS))
    plan = [
        (Stage("maps", "none", 1, backend), maps),
        (Stage("words", "none", 1, backend), words - maps),
        (Stage("plain", "none", 0, backend), num_inference_steps - words),
    ]
    return [(stage, count) for stage, count in plan if count]


def counterparts(source_em: np.ndarray, target_em: np.ndarray) -> np.ndarray:
    """Which token (e, m) of a source each of a target's stands for: the same one, or the one in its place; -1 if none.

    Token ids (e, m), padding included. Source: Prompt-to-Prompt, section 3.2, word swap and phrases that are added.
    """
    found = np.full(target_em.shape, -1, np.int32)
    for row, source, target in zip(found, source_em.tolist(), target_em.tolist(), strict=True):
        for _, low, high, first, last in SequenceMatcher(None, source, target, autojunk=False).get_opcodes():
            count = min(high - low, last - first)
            row[first : first + count] = np.arange(low, low + count)
    return found
