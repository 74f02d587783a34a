"""Measures of pictures: Appendix E of RIVAL, and what else tells a good variation from a bad one."""

from typing import TYPE_CHECKING

from rival_jax.lazily import importing

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

__getattr__ = importing(__name__, _HOMES)
"""The public names, imported when they are first asked for: networks read pictures with no measure at hand."""
