"""`run.json`: everything that is needed to repeat a run bit for bit on the same machine."""

from __future__ import annotations

import hashlib
import json
import platform
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rival_jax.errors import InputError

PACKAGES = ("rival-jax", "jax", "jaxlib", "flax", "numpy", "pillow", "transformers")


def versions() -> dict[str, str]:
    """Python's and the packages' versions."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def sha256(path: Path) -> str:
    """A file's digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(record: Mapping[str, Any]) -> bytes:
    """A record as indented JSON; paths become text, bytes of a path that are no Unicode become escapes."""
    return (json.dumps(record, indent=2, default=str, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def check_unchanged(path: Path) -> None:
    """Raises InputError where a photo of an earlier run (`run.json`) is not the file it was; presets name none."""
    if path.suffix != ".json":
        return
    try:
        photos = [(Path(photo["path"]), photo["sha256"]) for photo in _read(path).get("photos", [])]
    except (TypeError, KeyError) as error:
        raise InputError(f"The config file {path} does not say path and sha256 of its photos.") from error
    for photo, digest in photos:
        if photo.is_file() and sha256(photo) != digest:
            raise InputError(f"The photo {photo} has changed since {path} was written, so the run cannot be repeated.")


def read_settings(path: Path, schema: type) -> dict[str, Any]:
    """The arguments of a preset (TOML) or of an earlier run (`run.json`), for the dataclass `schema`.

    Raises InputError for a file that cannot be read, for keys that `schema` does not have (`config` is none here: a
    file names no other file) and for values that are not of their types.
    """
    content = _read(path)
    settings = content.get("arguments") if path.suffix == ".json" else content
    if not isinstance(settings, dict):
        raise InputError(f"The config file {path} holds no arguments; accepted: a preset (TOML) or a run.json.")
    hints = get_type_hints(schema)
    hints.pop("config", None)
    unknown = sorted(settings.keys() - hints.keys())
    if unknown:
        raise InputError(
            f"The config file {path} has unknown keys: {', '.join(unknown)}; accepted: {', '.join(hints)}."
        )
    typed = {}
    for name, value in settings.items():
        try:
            typed[name] = _typed(value, hints[name])
        except TypeError as error:
            raise InputError(f"The config file {path} has {name} = {value!r}; accepted: {error}.") from error
    return typed


def _read(path: Path) -> dict[str, Any]:
    """A JSON or TOML file."""
    kind, parse = ("JSON", json.loads) if path.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The config file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"The config file {path} is not valid {kind}: {error}.") from error
    return content if isinstance(content, dict) else {}


_WORDS = {int: "a whole number", float: "a number", str: "text", Path: "a path as text"}


def _typed(value: Any, hint: Any) -> Any:
    """A value in the type of its argument; one value serves as a tuple of one. Raises TypeError that says the type."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is tuple:
        return tuple(_typed(item, inner[0]) for item in (value if isinstance(value, list) else [value]))
    if kind in (Union, UnionType):  # X | None, and no file can say None
        return _typed(value, inner[0])
    if kind is Literal:
        if value not in inner:
            raise TypeError(", ".join(map(repr, inner)))
        return value
    if type(value) not in {float: (float, int), Path: (str,)}.get(hint, (hint,)):
        raise TypeError(_WORDS[hint])
    return Path(value) if hint is Path else value
