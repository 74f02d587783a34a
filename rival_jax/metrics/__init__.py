"""Measures of pictures: Appendix E of RIVAL, and what else tells a good variation from a bad one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rival_jax.metrics.features import kid
    from rival_jax.metrics.judge import Judge
    from rival_jax.metrics.lpips import LPIPS
    from rival_jax.metrics.palette import palette_distance
    from rival_jax.metrics.sequences import SequenceScores, sequence_scores
    from rival_jax.metrics.statistics import interval

__all__ = ["LPIPS", "Judge", "SequenceScores", "interval", "kid", "palette_distance", "sequence_scores"]

_HOMES = {
    "Judge": "judge",
    "LPIPS": "lpips",
    "SequenceScores": "sequences",
    "interval": "statistics",
    "kid": "features",
    "palette_distance": "palette",
    "sequence_scores": "sequences",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: networks read pictures with no measure at hand."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
