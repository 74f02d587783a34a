"""`run.json`: everything that is needed to repeat a run bit for bit on the same machine."""

from __future__ import annotations

import hashlib
import json
import platform
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rival_jax.errors import InputError
from rival_jax.typed import typed

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


def files(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """What a record says of files that a run has read."""
    return [{"path": path, "sha256": sha256(path)} for path in paths]


def check_unchanged(path: Path, role: str) -> None:
    """Raises InputError where a file of an earlier run (`run.json`), one of its "photos" say, is not what it was.

    Presets name none.
    """
    if path.suffix != ".json":
        return
    try:
        named = [(Path(file["path"]), file["sha256"]) for file in read_file(path).get(role, [])]
    except (TypeError, KeyError) as error:
        raise InputError(f"The config file {path} does not say path and sha256 of its {role}.") from error
    for file, digest in named:
        if file.is_file() and sha256(file) != digest:
            raise InputError(f"The file {file} has changed since {path} was written, so the run cannot be repeated.")


def read_settings(path: Path, schema: type) -> dict[str, Any]:
    """The arguments of a preset (TOML) or of an earlier run (`run.json`), for the dataclass `schema`.

    Raises InputError for a file that cannot be read, for keys that `schema` does not have (`config` is none here: a
    file names no other file) and for values that are not of their types.
    """
    content = read_file(path)
    settings = content.get("arguments") if path.suffix == ".json" else content
    if not isinstance(settings, dict):
        raise InputError(f"The config file {path} holds no arguments; accepted: a preset (TOML) or a run.json.")
    known = [field.name for field in fields(schema) if field.name != "config"]
    unknown = sorted(settings.keys() - set(known))
    if unknown:
        raise InputError(
            f"The config file {path} has unknown keys: {', '.join(unknown)}; accepted: {', '.join(known)}."
        )
    return typed(f"The config file {path}'s", settings, schema)


def read_file(path: Path, role: str = "config file") -> dict[str, Any]:
    """A JSON or TOML file of this role. Raises InputError that names both."""
    kind, parse = ("JSON", json.loads) if path.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The {role} {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"The {role} {path} is not valid {kind}: {error}.") from error
    return content if isinstance(content, dict) else {}
