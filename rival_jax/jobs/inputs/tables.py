"""Tables that name pictures: .txt with one path or URL a line; .csv, .jsonl and .parquet with a column file_name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from rival_jax.errors import InputError
from rival_jax.jobs.inputs.described import Columns, names
from rival_jax.jobs.inputs.files import check_reader, clear_errors, is_url, join, open_file
from rival_jax.jobs.inputs.parquet import table_rows
from rival_jax.jobs.rows import readable

SUFFIXES = (".txt", ".csv", ".jsonl", ".parquet")
NAME = "file_name"

Found = tuple[str, dict[str, Any], Columns]
"""A sample's id, where its picture is, and what is said of it."""


def pictures_of_table(path: str, columns: set[str]) -> Iterator[Found]:
    """The pictures of a table, in its order; of parquet files only these columns are read.

    Names lie beside the table, unless they are absolute or URLs. Raises InputError that names the line for whatever is
    malformed, and for a table without the column or without rows.
    """
    folder, number = path.rpartition("/")[0], 0
    for number, row in _rows(path, columns):
        name = row.get(NAME)
        if not isinstance(name, str) or not name or "\0" in name:
            what = f"no {NAME} (columns: {names(row)})" if name is None else f"the {NAME} {name!r}"
            raise InputError(f"{_place(path, number)} has {what}; each row must name a picture there.")
        if is_url(name):
            check_reader(name.split("://")[0])
        yield name, {"path": join(folder, name)}, row
    if not number:
        raise InputError(f"{readable(path)} is empty; give a table with a picture a row.")


def _rows(path: str, columns: set[str]) -> Iterator[tuple[int, Columns]]:
    """Line numbers and rows."""
    if path.endswith(".parquet"):
        yield from enumerate(table_rows(path, {NAME, *columns}), start=1)
        return
    parse = {"txt": _parse_lines, "csv": _parse_csv, "jsonl": _parse_json}[path.rpartition(".")[2]]
    with clear_errors(path), open_file(path) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
        yield from parse(path, lines)


def _parse_lines(path: str, lines: Iterable[str]) -> Iterator[tuple[int, Columns]]:
    for number, line in enumerate(lines, start=1):
        if name := line.rstrip("\r\n"):
            yield number, {NAME: name}


def _parse_csv(path: str, lines: Iterable[str]) -> Iterator[tuple[int, Columns]]:
    rows = csv.reader(lines, strict=True)
    try:
        header = next(rows, [])
        for cells in rows:
            if len(cells) == len(header):
                yield rows.line_num, dict(zip(header, cells, strict=True))
            elif cells:
                problem = f"has {len(cells)} cells, but the first line has {len(header)} columns"
                raise InputError(f"{_place(path, rows.line_num)} {problem}; give each row a cell a column.")
    except csv.Error as error:
        raise InputError(f"{_place(path, rows.line_num)} is not CSV ({error}); quote cells that need it.") from error


def _parse_json(path: str, lines: Iterable[str]) -> Iterator[tuple[int, Columns]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{_place(path, number)} is not JSON ({error}); give one object a line.") from error
        if not isinstance(row, dict):
            raise InputError(f'{_place(path, number)} is no object; give one a line, such as {{"{NAME}": "a.png"}}.')
        yield number, row


def _place(path: str, number: int) -> str:
    return f"{readable(path)}, {'row' if path.endswith('.parquet') else 'line'} {number},"
