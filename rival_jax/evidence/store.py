"""Results on disk: what was measured once is read again, so that a stopped run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Store:
    """A folder of JSON files, each named by everything that its numbers follow from.

    `weights` are the directories of the networks in use: other or newer files there are other numbers.
    """

    folder: Path
    weights: tuple[Path, ...]

    def kept(self, name: str, what: Any, compute: Callable[[], Any]) -> Any:
        """What `compute` returns (plain JSON), from the folder if it was computed for the same `name` and `what`."""
        files = sorted(file for directory in self.weights for file in directory.rglob("*.safetensors"))
        stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        digest = hashlib.sha256(json.dumps([name, what, stamps]).encode()).hexdigest()
        path = self.folder / f"{digest[:16]}.json"
        if not path.exists():
            path.with_suffix(".tmp").write_text(json.dumps({"name": name, "results": compute()}))
            path.with_suffix(".tmp").replace(path)
        return json.loads(path.read_text())["results"]
