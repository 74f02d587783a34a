"""A tensor's place in a weight file.

Reading at an offset rather than mapping the file keeps no more than one tensor in memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Stored:
    """A tensor in a file, not read yet."""

    file: Path
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def thirds(self) -> tuple[Stored, ...]:
        """Three tensors that were stored as one, by thirds of its rows, whose number is a multiple of three."""
        rows, *rest = self.shape
        places = (self.offset + third * self.nbytes // 3 for third in range(3))
        return tuple(replace(self, offset=place, shape=(rows // 3, *rest)) for place in places)

    def read(self) -> np.ndarray:
        """The tensor, in the file's dtype and layout."""
        return np.fromfile(self.file, np.uint8, self.nbytes, offset=self.offset).view(self.dtype).reshape(self.shape)
