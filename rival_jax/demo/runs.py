"""Runs that whoever started them can stop."""

from __future__ import annotations

from threading import Event

from rival_jax.steps import Progress


class Cancelled(Exception):
    """The run was stopped by whoever started it."""


class Runs:
    """At most one run a visitor, by the visitor's key."""

    def __init__(self):
        self._stopped: dict[str, Event] = {}

    def begin(self, visitor: str) -> None:
        """A run that is about to wait for its turn; what was stopped before is forgotten."""
        self._stopped[visitor] = Event()

    def cancel(self, visitor: str) -> None:
        """Stops the visitor's run, whether it is under way or waits."""
        if visitor in self._stopped:
            self._stopped[visitor].set()

    def end(self, visitor: str) -> None:
        """The visitor's run is over, however it ended."""
        self._stopped.pop(visitor, None)

    def watched(self, visitor: str, progress: Progress) -> Progress:
        """The same progress, which raises Cancelled in the run that reports it once that run was stopped."""
        stopped = self._stopped[visitor]

        def report(stage: str, done: int, total: int) -> None:
            if stopped.is_set():
                raise Cancelled
            progress(stage, done, total)

        return report
