"""Files that stay after a crash of the machine, and appear at once with their whole content."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


def write(path: Path, data: bytes) -> None:
    """Writes a file down to the disk. Its name stays only once its folder is synced too."""
    with written(path) as file:
        file.write(data)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A new file whose content is down on the disk once the block has ended well. Its errors say which file it is."""
    try:
        with path.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # that a disk is full, say, is said without a name
        error.filename = error.filename or str(path)
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time, and one thread, has the lock of a folder; a killed one has it no longer.

    On file systems without locks nobody waits.
    """
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def sync(folder: Path) -> None:
    """Brings the names in a folder down to the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def growing(path: Path, staging: Path) -> Iterator[BinaryIO]:
    """A file that is written bit by bit under `staging`, and has its name once the block has ended well.

    Processes of several machines may write the same one at the same time; the last to end gives it its content.
    """
    temporary = staging / f"{path.name}.{uuid4().hex}"
    try:
        with written(temporary) as file:
            yield file
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes, *, replace: bool = True) -> None:
    """A file that appears at once with its whole content. Without `replace` one that is there already is left alone."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        write(temporary, data)
        if replace:
            os.replace(temporary, path)
        else:
            with suppress(FileExistsError):
                os.link(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
