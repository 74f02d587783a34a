"""A shard as a WebDataset tar: <key>_v0.png with its row (.json), prompt (.txt) and label's number (.cls)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from rival_jax.jobs import durable
from rival_jax.jobs.rows import Row, readable, to_line


def write(path: Path, pictures: Iterable[tuple[Row, str, bytes]], labels: Sequence[str]) -> None:
    """Writes rows with their pictures' names and bytes; the same content gives the same file.

    `labels` are all of the dataset: a label's place among them is its number.
    """
    numbers = {readable(label): number for number, label in enumerate(labels)}
    with durable.written(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row, name, data in pictures:
            stem = name.rsplit(".", 1)[0]
            _add(tar, name, data)
            _add(tar, f"{stem}.json", to_line(row).encode())
            _add(tar, f"{stem}.txt", (row.caption if row.prompt is None else row.prompt).encode())
            if row.label is not None:
                _add(tar, f"{stem}.cls", str(numbers[row.label]).encode())


def read(path: Path) -> dict[str, bytes]:
    """The members by their names. Raises OSError where the file cannot be read."""
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        return {member.name: data.read() for member in tar if (data := tar.extractfile(member))}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
