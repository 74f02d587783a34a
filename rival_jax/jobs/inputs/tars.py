"""WebDataset tars: consecutive members of one key (the name up to its first dot) are one sample."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import IO, Any

from rival_jax.errors import InputError
from rival_jax.jobs.inputs.described import Columns
from rival_jax.jobs.inputs.files import clear_errors, open_file
from rival_jax.jobs.rows import readable

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""All but the first are refused, with a sentence."""
_KEY = re.compile(r"(?:\./)?((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)
_BLOCK = 512  # bytes


def pictures_of_tar(path: str, label: str, suffixes: frozenset[str]) -> Iterator[tuple[str, dict[str, Any], Columns]]:
    """Keys, where the pictures are, and what the .json, .txt (as "txt") and .cls members say; no picture is read.

    `label` is taken from the .json, or else from .cls. Of each key the first member with one of the suffixes is its
    picture; keys without one are left out. Raises InputError for compressed and for damaged tars.
    """
    with clear_errors(path), open_file(path) as file:
        for key, members in groupby(_members(path, file), lambda member: member[0]):
            where: dict[str, Any] | None = None
            said: dict[str, Any] = {}
            other: dict[str, Any] = {}
            for _, kind, offset, size in members:
                if where is None and f".{kind}" in suffixes:
                    where = {"path": path, "offset": offset, "size": size}
                elif kind == "json":
                    said = _read_json(f"{readable(path)}/{readable(key)}.json", _content(file, offset, size))
                elif kind in ("txt", "cls"):
                    text = _content(file, offset, size).decode("utf-8", "replace").strip()
                    other["txt" if kind == "txt" else label] = text
            if where is not None:
                yield key, where, other | said


def _members(path: str, file: IO[bytes]) -> Iterator[tuple[str, str, int, int]]:
    """Key, suffix in lower case, offset and size of each file in the tar that has a key."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            tar: Any = archive  # whose type says nothing of its members
            while (member := tar.next()) is not None:
                tar.members.clear()  # else it remembers them all
                found = _KEY.fullmatch(member.name)
                if member.isreg() and found:
                    yield found[1], found[2].lower(), member.offset_data, member.size
            if _content(file, tar.offset, _BLOCK).strip(b"\0"):  # tarfile takes a damaged header for the end
                raise tarfile.ReadError(f"damaged header at byte {tar.offset}")
    except tarfile.ReadError as error:
        raise InputError(
            f"{readable(path)} is compressed, cut short or no tar ({error}); give whole .tar files without compression."
        ) from error


def _content(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _read_json(name: str, content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON ({error}); give one object.") from error
    if not isinstance(said, dict):
        raise InputError(f"{name} is no object; give one object.")
    return said
