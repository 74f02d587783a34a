"""Rows: what a job says of each picture that it was asked for, made or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

Status = Literal[
    "success",
    "failed_to_read",
    "failed_to_generate",
    "filtered_inversion",
    "filtered_nsfw",
    "filtered_label",
    "filtered_duplicate",
]
STATUSES: tuple[str, ...] = get_args(Status)
FAILED = ("failed_to_read", "failed_to_generate")
"""What `retry` tries again."""


@dataclass(frozen=True)
class Row:
    """One picture. None stands for what does not apply or was not measured.

    file_name: where the picture is, relative to the data folder; in tars and parquet files the member's name.
    variation: 0 ... num_variations - 1; None for the exemplar itself.
    recipe: the setting's place in the recipe, from 0.
    psnr: decibels between the exemplar and its reconstruction from the inverted chain.
    nsfw, nsfw_score: the safety checker's verdict and its largest score (above 0 is flagged).
    label_found, label_score: the label that CLIP finds likeliest, and its probability of the sample's own.
    distance: to the exemplar or the nearest sibling (root mean square between thumbnails, 0 ... 1).
    """

    key: str
    file_name: str | None
    status: Status
    message: str
    source_id: str
    source_sha256: str | None
    label: str | None
    caption: str
    variation: int | None
    recipe: int | None
    prompt: str | None
    negative_prompt: str | None
    seed: int | None
    guidance_scale: float | None
    model: str
    width: int | None
    height: int | None
    psnr: float | None = None
    nsfw: bool | None = None
    nsfw_score: float | None = None
    label_found: str | None = None
    label_score: float | None = None
    distance: float | None = None


def readable(text: str) -> str:
    """Text as Unicode: bytes of a file name that are none are shown as escapes (\\xff)."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def to_line(row: Row) -> str:
    """A row as one line of JSON."""
    return json.dumps(asdict(row), ensure_ascii=False)


def to_lines(rows: Iterable[Row]) -> bytes:
    """Rows as JSON lines."""
    return "".join(to_line(row) + "\n" for row in rows).encode()


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file that `to_lines` made."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Row(**json.loads(line))
