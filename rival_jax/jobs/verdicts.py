"""Which pictures are kept: filters drop and record, in the order in which a row's status names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rival_jax.errors import InputError
from rival_jax.jobs.job import Filters
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import Row, Status
from rival_jax.metrics.judge import EMBEDDED, Judge

_THUMBNAIL = 16  # pixels
_TEMPERATURE = 100.0
"""Of CLIP's logits, as it was trained."""


@dataclass(frozen=True)
class LabelJudge:
    """CLIP, and the vectors (labels, d) of what it can tell apart."""

    judge: Judge
    labels: tuple[str, ...]
    vectors: np.ndarray

    @classmethod
    def load(cls, plan: Plan) -> LabelJudge:
        """Reads the CLIP model that the job names. Raises InputError where there is nothing to tell apart."""
        if len(plan.labels) < 2:
            raise InputError(
                f"filters.labels compares at least two labels, but the input has {len(plan.labels)}; leave it out."
            )
        template = plan.job.caption.template or ""
        template = template if "{label}" in template else "a photo of a {label}"
        judge = Judge.from_pretrained(plan.job.filters.clip or EMBEDDED)
        return cls(judge, plan.labels, judge.embed_texts([template.format(label=label) for label in plan.labels]))

    def __call__(self, pictures: np.ndarray, own: Sequence[str | None]) -> list[tuple[str, float | None]]:
        """For pictures (n, H, W, 3) the likeliest label, and the probability of their own (None without one)."""
        logits = _TEMPERATURE * self.judge.embed_images(pictures) @ self.vectors.T
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        return [
            (self.labels[row.argmax()], None if label is None else round(float(row[self.labels.index(label)]), 4))
            for row, label in zip(odds, own, strict=True)
        ]


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 as 16 x 16 means of its colours, float32 in 0 ... 1."""
    small = Image.fromarray(pixels).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def distance_to(picture: np.ndarray, others: Sequence[np.ndarray]) -> tuple[float, int]:
    """The root mean square between a thumbnail and the nearest of others, 0 ... 1, and which one that is."""
    distances = [float(np.sqrt(np.square(picture - other).mean())) for other in others]
    nearest = int(np.argmin(distances))
    return round(distances[nearest], 4), nearest


def verdict(row: Row, filters: Filters, nearest: int) -> tuple[Status, str]:
    """A picture's status and why it is dropped, by what its row says was measured.

    nearest: which picture its distance is to, 0 for the exemplar.
    """
    if row.psnr is not None and row.psnr < filters.min_psnr:
        return "filtered_inversion", f"The exemplar is reconstructed at {row.psnr} dB only, of {filters.min_psnr}."
    if row.nsfw:
        return "filtered_nsfw", f"The safety checker flags it ({row.nsfw_score})."
    if row.label is not None and row.label_found not in (None, row.label):
        return "filtered_label", f"CLIP finds {row.label_found} likelier than {row.label} (at {row.label_score})."
    if row.distance is not None and row.distance < filters.duplicates:
        whom = "the exemplar" if nearest == 0 else "a sibling"
        return "filtered_duplicate", f"Nearly the same picture as {whom} ({row.distance} of {filters.duplicates})."
    return "success", ""
