"""An end that is the start, edited: drawn from the same noise with the start's attention maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from rival_jax.errors import InputError
from rival_jax.options import Backend
from rival_jax.stages import Stage, Stages, in_runs

_CROSS, _SELF = 0.8, 0.4
"""Shares of the steps, from the first, in which the maps of words, and of positions too, are the start's."""


def edited_stages(num_inference_steps: int, backend: Backend | None) -> Stages:
    """The plan of the end. Source: Prompt-to-Prompt, section 3.2; the shares are its authors' code's."""
    maps, words = (math.floor(num_inference_steps * share) for share in (_SELF, _CROSS))

    def stage(number: int) -> Stage:
        if number >= words:
            return Stage("plain", "none", 0, backend)
        return Stage("maps" if number < maps else "words", "none", 1, backend)

    return in_runs(map(stage, range(num_inference_steps)))


def check_edit(start_prompts: Sequence[str], shown: object) -> None:
    """Raises InputError where a start is told nothing, or where an IP-Adapter is shown something."""
    if shown is not None:
        raise InputError("prompt_to_prompt and ip_adapter do not go together; give one of them.")
    if not all(start_prompts):
        raise InputError("prompt_to_prompt compares what both ends show; say what the start shows too.")


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
