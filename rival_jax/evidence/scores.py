"""A setting's pictures, measured."""

from __future__ import annotations

import numpy as np

from rival_jax.metrics.features import kid
from rival_jax.metrics.judge import Judge
from rival_jax.metrics.palette import palette_distance

MEASURES = ("palette", "text", "image", "diversity", "blown", "KID x 1000")
"""Palette distance to the exemplar; the judge's cosines to caption and exemplar; 1 - cosine between siblings (nan for
one variation); the share of pixels with a channel at its end, less the exemplar's own; and, one number for all, how far
the set of pictures is from the exemplars'."""


def measure(
    judge: Judge, exemplars: np.ndarray, captions: tuple[str, ...], images: np.ndarray
) -> dict[str, np.ndarray]:
    """MEASURES of pictures (e, n, H, W, 3) against exemplars (e, H, W, 3) and captions.

    One mean an exemplar, (e,), but for the last, which is ().
    """
    e, n = images.shape[:2]
    pictures = judge.embed_images(images.reshape(-1, *images.shape[2:])).reshape(e, n, -1)
    originals, texts = judge.embed_images(exemplars), judge.embed_texts(captions)
    palettes = [
        [palette_distance(picture, exemplar) for picture in row]
        for row, exemplar in zip(images, exemplars, strict=True)
    ]
    cosines = np.einsum("end,emd->enm", pictures, pictures)
    siblings = ~np.eye(n, dtype=bool)
    return {
        "palette": np.mean(palettes, axis=1),
        "text": np.einsum("end,ed->en", pictures, texts).mean(axis=1),
        "image": np.einsum("end,ed->en", pictures, originals).mean(axis=1),
        "diversity": 1 - cosines[:, siblings].mean(axis=1) if n > 1 else np.full(e, np.nan),
        "blown": _blown(images).mean(axis=1) - _blown(exemplars),
        "KID x 1000": np.asarray(1000 * kid(pictures.reshape(e * n, -1), originals)),
    }


def _blown(pictures: np.ndarray) -> np.ndarray:
    return ((pictures <= 1) | (pictures >= 254)).any(axis=-1).mean(axis=(-2, -1))
