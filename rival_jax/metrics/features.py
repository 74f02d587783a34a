"""How far apart two sets of pictures are, by the features of a judge."""

from __future__ import annotations

import numpy as np


def kid(features: np.ndarray, others: np.ndarray, *, subset: int = 100, subsets: int = 100, seed: int = 0) -> float:
    """Kernel Inception Distance of two sets of features: the unbiased squared MMD of (x.y / d + 1)^3.

    The mean over random subsets of both, as usual; around 0, and sometimes below, for sets of one distribution.
    Features are scaled to a mean square of 1 a dimension, as unit vectors would make the kernel flat. Of one picture
    there is none: nan.

    Args:
        features, others: unit vectors (n, d) and (m, d).
        subset: 2 or more, how many of either are drawn at once.
        subsets: 1 or more, how often.
        seed: of NumPy's generator, 0 or more.

    Source: https://arxiv.org/abs/1801.01401.
    """
    scale = np.sqrt(features.shape[1])
    x, y = (np.asarray(rows, np.float64) * scale for rows in (features, others))
    size, rng = min(subset, len(x), len(y)), np.random.default_rng(seed)

    if size < 2:
        return float("nan")

    def one() -> float:
        a, b = (rows[rng.choice(len(rows), size, replace=False)] for rows in (x, y))
        within = sum(
            (kernel.sum() - np.trace(kernel)) / (size * (size - 1)) for kernel in (_kernel(a, a), _kernel(b, b))
        )
        return float(within - 2 * _kernel(a, b).mean())

    return float(np.mean([one() for _ in range(subsets)]))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3
