"""Between the two libraries' arrays: axes and the error measure."""

import numpy as np
import torch


def nchw(x: np.ndarray) -> torch.Tensor:
    """Channels last to torch's channels first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, -3)))


def nhwc(x: torch.Tensor) -> np.ndarray:
    """Torch's channels first to channels last."""
    return np.moveaxis(x.float().numpy(), -3, -1)


def relative(ours: np.ndarray | torch.Tensor, theirs: np.ndarray | torch.Tensor) -> float:
    """Norm of the difference over norm of the reference."""
    ours, theirs = (np.asarray(x, np.float64) for x in (ours, theirs))
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
