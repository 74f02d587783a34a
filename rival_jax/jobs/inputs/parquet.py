"""Parquet files: tables that name pictures, and rows that hold their bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

from rival_jax.errors import InputError
from rival_jax.jobs.inputs.described import Columns
from rival_jax.jobs.inputs.files import clear_errors, join, open_file, read
from rival_jax.jobs.rows import readable

_ONE_READER = Lock()
"""Threads that want pictures of one row group wait for the first to read it."""


def columns_of(path: str) -> list[str]:
    """The names of the columns."""
    with _opened(path) as file:
        return file.schema_arrow.names


def table_rows(path: str, columns: set[str]) -> Iterator[dict[str, Any]]:
    """The rows; ClassLabels of `datasets` by name. All columns but these are None, as they are not read."""
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            yield from _rows_of(file, group, columns)


def pictures_of_parquet(path: str, image: str, columns: set[str]) -> Iterator[tuple[int, dict[str, Any], Columns]]:
    """Row numbers, where the pictures are, and what these columns say; no picture is read.

    Raises InputError where the column `image` holds neither bytes nor structs with bytes.
    """
    import pyarrow.types as types

    with _opened(path) as file:
        kind = file.schema_arrow.field(image).type
        held = kind.field("bytes").type if types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
        if not (types.is_binary(held) or types.is_large_binary(held)):
            raise InputError(
                f"{readable(path)} holds {kind} in its column {image!r}; "
                "accepted are bytes, or the struct of bytes and path that `datasets` writes."
            )
        number = 0
        for group in range(file.num_row_groups):
            for row, said in enumerate(_rows_of(file, group, columns - {image})):
                yield number, {"path": path, "group": group, "row": row, "column": image}, said
                number += 1


def picture_bytes(path: str, group: int, row: int, column: str) -> bytes:
    """The bytes of a row's picture, or of the file that its struct names. Raises InputError where there is neither."""
    with _ONE_READER:
        cells = _column(path, group, column)
    value = cells[row].as_py() if row < len(cells) else None
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None and isinstance(value, dict) and value.get("path"):  # `datasets` embeds only what it uploads
        return read(join(path.rpartition("/")[0], value["path"]))
    if data is None:
        raise InputError(f"{readable(path)} has no image bytes in column {column!r}, group {group}, row {row}.")
    return data


@lru_cache(maxsize=2)
def _column(path: str, group: int, column: str) -> Any:
    """One column of a row group: the pictures of a shard are neighbours."""
    with _opened(path) as file:
        return file.read_row_group(group, columns=[column]).column(column)


def _rows_of(file: Any, group: int, columns: set[str]) -> Iterator[dict[str, Any]]:
    """The rows of a group, a few at a time."""
    there = dict.fromkeys(file.schema_arrow.names)
    labels = _class_labels(file.schema_arrow)
    for batch in file.iter_batches(row_groups=[group], columns=list(columns & there.keys()), batch_size=4096):
        for row in batch.to_pylist():
            yield there | {name: _named(labels.get(name), value) for name, value in row.items()}


def _class_labels(schema: Any) -> dict[str, list[str]]:
    """The names that `datasets` keeps for columns of numbered classes."""
    said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = said.get("info", {}).get("features", {})
    return {name: each["names"] for name, each in features.items() if isinstance(each, dict) and "names" in each}


def _named(labels: list[str] | None, value: Any) -> Any:
    return labels[value] if labels and isinstance(value, int) and 0 <= value < len(labels) else value


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """A pyarrow.parquet.ParquetFile. Raises InputError where it cannot be read or pyarrow is missing."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(
            f"{readable(path)} needs pyarrow to be read; install it with: pip install 'rival-jax[parquet]'"
        ) from error
    with clear_errors(path), open_file(path) as file, ParquetFile(file) as table:
        yield table
