"""Results on disk: what was measured once is read again, so that a stopped run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rival_jax.outputs import png_bytes


@dataclass(frozen=True)
class Store:
    """A folder of JSON files, each named by a digest of the question that its numbers answer.

    `networks` are the directories or files of the networks in use: other or newer files there are other questions,
    model cards aside. The program itself is not part of the digest; after a change of the method take another folder.
    """

    folder: Path
    networks: tuple[Path, ...]

    def kept(self, name: str, question: Any, compute: Callable[[], Any]) -> Any:
        """What `compute` returns (plain JSON), from the folder if it was computed for the same `question`."""
        inside = (file for place in self.networks for file in (place.resolve(), *place.resolve().rglob("*")))
        files = sorted(file for file in inside if file.is_file() and file.suffix != ".md")
        stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        digest = hashlib.sha256(json.dumps([question, stamps]).encode()).hexdigest()
        file = f"{digest[:16]}.json"
        if not (self.folder / file).exists():
            self.write(file, json.dumps({"name": name, "results": compute()}).encode())
        return json.loads((self.folder / file).read_text())["results"]

    def write(self, name: str, data: bytes) -> Path:
        """Puts a whole file in place of an older one, or none; returns its path."""
        path = self.folder / name
        temporary = path.with_name(f".{name}.tmp")
        temporary.write_bytes(data)
        return temporary.replace(path)

    def write_png(self, name: str, image: Image.Image) -> Path:
        """A picture, as `write`."""
        return self.write(name, png_bytes(image))


def digest_of(array: np.ndarray) -> str:
    """What tells one array from another in a question."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
