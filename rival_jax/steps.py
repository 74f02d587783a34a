"""Long loops in runs of a few steps, so that their caller can say how far they are without a callback inside jit."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the name of the work, the steps done and the steps in all."""


def silent(stage: str, done: int, total: int) -> None:
    """The `Progress` that says nothing."""


def chunks(count: int, longest: int = 5) -> tuple[int, int]:
    """How often, and how long: `count` steps as equal runs of at most `longest`; one program serves them all."""
    length = max(length for length in range(1, longest + 1) if count % length == 0)
    return count // length, length
