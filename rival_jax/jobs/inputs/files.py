"""Files and folders by path or by fsspec URL; local ones by plain system calls, so that any name survives."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO, cast

from fsspec import get_filesystem_class
from fsspec.core import url_to_fs

from rival_jax.errors import InputError
from rival_jax.jobs.rows import readable


def is_url(path: str) -> bool:
    return "://" in path


@cache
def check_reader(protocol: str) -> None:
    """Raises InputError where nothing installed reads URLs that begin so."""
    with clear_errors(f"{protocol}://"):
        get_filesystem_class(protocol)


def absolute(path: str) -> str:
    """The path from the root, or the URL as its file system spells it."""
    if not is_url(path):
        return os.path.abspath(path)
    system, name = url_to_fs(path)
    return system.unstrip_protocol(name)


def join(folder: str, name: str) -> str:
    """The path of a name in a folder; a name that is absolute or a URL stands for itself."""
    return name if is_url(name) or name.startswith("/") else f"{folder}/{name}"


def is_folder(path: str) -> bool:
    """Raises FileNotFoundError where there is nothing."""
    if not is_url(path):
        return stat.S_ISDIR(os.stat(path).st_mode)
    system, name = url_to_fs(path)
    return system.info(name)["type"] == "directory"


def list_folder(folder: str) -> list[tuple[str, bool]]:
    """Names in a folder and whether they are folders, sorted. Hidden ones and links to a parent are left out."""
    if is_url(folder):
        system, own = url_to_fs(folder)
        rows = ((row["name"].rstrip("/"), row["type"] == "directory") for row in system.ls(own, detail=True))
        found = [(name.rpartition("/")[2], is_dir) for name, is_dir in rows if name != own]
    else:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if not _is_loop(entry)]
    return sorted(entry for entry in found if not entry[0].startswith("."))


def match(pattern: str) -> list[str]:
    """The paths that a path with wildcards (*) matches, sorted, without hidden ones."""
    escaped = pattern.replace("[", "[[]")
    if is_url(pattern):
        system, name = url_to_fs(escaped)
        found = [system.unstrip_protocol(str(path)) for path in system.glob(name)]
    else:
        found = glob.glob(escaped, recursive=True)
    return sorted(path for path in found if not path.rpartition("/")[2].startswith("."))


def open_file(path: str) -> BinaryIO:
    """A file, opened to be read from any place."""
    if not is_url(path):
        return open(path, "rb")
    system, name = url_to_fs(path)
    return cast(BinaryIO, system.open(name, "rb"))


def read(path: str, offset: int = 0, size: int | None = None) -> bytes:
    """The bytes of a file, or of a part of it."""
    if is_url(path):
        system, name = url_to_fs(path)
        return system.cat_file(name, start=offset, end=None if size is None else offset + size)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError(f"{readable(path)} is not a file.")
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(-1 if size is None else size)


@contextmanager
def clear_errors(path: str) -> Iterator[None]:
    """Whatever file systems and parsers raise, as one InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{readable(path)} does not exist, or no longer.") from error
    except ImportError as error:
        raise InputError(f"{readable(path)} needs another package to be read: {error}.") from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0] or type(error).__name__
        raise InputError(f"{readable(path)} cannot be read ({reason}).") from error


def _is_loop(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link to a folder that it lies in."""
    if not entry.is_symlink() or not entry.is_dir():
        return False
    inside, target = os.path.realpath(os.path.dirname(entry.path)), os.path.realpath(entry.path)
    return os.path.commonpath([inside, target]) == target
