"""One picture of a dataset, as far as a job's plan needs to know it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A picture that is to be varied.

    id: unique in its dataset and independent of where the dataset lies; seeds follow from it.
    where: how its bytes are found, as `inputs.read_bytes` takes it; plain JSON.
    caption: None where a captioner is to say it.
    """

    id: str
    where: dict[str, Any]
    label: str | None
    caption: str | None

    @property
    def key(self) -> str:
        """A name for its files: letters of the id's own file name, and a digest that makes it unique."""
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", re.split(r"[/\\]", self.id)[-1].rsplit(".", 1)[0]).strip("-")
        return f"{stem[:40] or 'sample'}-{_digest(self.id).hex()[:12]}"

    @property
    def number(self) -> int:
        """0 ... 2**64 - 1: another one for another id, but for one chance in 2**64 a pair."""
        return int.from_bytes(_digest(self.id)[:8], "big")

    def seed(self, job_seed: int, *parts: int) -> int:
        """0 ... 2**32 - 1: follows from the job's seed, this id and the parts, whatever the shard, order or machine."""
        text = "\0".join([str(job_seed), *map(str, parts), self.id])
        return int.from_bytes(_digest(text)[:4], "big")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
