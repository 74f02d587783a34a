"""Writing results: new numbered files, never an overwritten one, never half a file."""

import io
import os
import re
import tempfile
import uuid
from pathlib import Path

from PIL import Image

from rival_jax.errors import InputError


def prepare_folder(path: str | os.PathLike) -> Path:
    """The output folder, created with its parents if missing and proven writable. Raises InputError otherwise."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except FileExistsError as error:
        raise InputError(f"{folder} is not a folder; give a new or existing folder for the output.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{folder} cannot be written to ({reason}); give a writable folder for the output.") from error


def write_new(folder: Path, first_name: str, data: bytes) -> Path:
    """Write `data` under the next free number and return the path.

    `first_name` is the name of number 1: "variation-0001.png" goes on with "variation-0002.png", "run.json" with
    "run-0002.json", after the highest number that exists. The name appears at once with the whole content, and one that
    another process takes meanwhile is left alone (without hard links, an empty file may hold the name for an instant).
    """
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        number = _highest_number(folder, first_name) + 1
        while True:
            try:
                return _publish(temporary, folder / _numbered(first_name, number))
            except FileExistsError:
                number += 1
    finally:
        temporary.unlink(missing_ok=True)


def write_png(folder: Path, first_name: str, image: Image.Image) -> Path:
    """`write_new` of a picture as PNG."""
    return write_new(folder, first_name, png_bytes(image))


def png_bytes(image: Image.Image) -> bytes:
    """A picture as the contents of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _stem_and_suffix(first_name: str) -> tuple[str, str]:
    stem, suffix = os.path.splitext(first_name)
    return stem.removesuffix("-0001"), suffix


def _numbered(first_name: str, number: int) -> str:
    stem, suffix = _stem_and_suffix(first_name)
    return first_name if number == 1 else f"{stem}-{number:04d}{suffix}"


def _highest_number(folder: Path, first_name: str) -> int:
    """Of the names of this kind in the folder; one without a number is number 1, and none at all gives 0."""
    stem, suffix = map(re.escape, _stem_and_suffix(first_name))
    matches = (re.fullmatch(rf"{stem}(?:-([0-9]+))?{suffix}", name) for name in os.listdir(folder))
    return max((int(match[1] or 1) for match in matches if match), default=0)


def _publish(temporary: Path, target: Path) -> Path:
    """Give the finished file its name. Raises FileExistsError where the name is taken."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        open(target, "xb").close()
        os.replace(temporary, target)
    return target
