"""`run.json`: everything that is needed to repeat a run bit for bit on the same machine."""

from __future__ import annotations

import hashlib
import json
import platform
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
    """A record as indented JSON; paths become text."""
    return (json.dumps(record, indent=2, default=str, ensure_ascii=False) + "\n").encode()


def check_unchanged(path: Path) -> None:
    """Raises InputError where a photo of an earlier run (`run.json`) is not the file it was; presets name none."""
    if path.suffix != ".json":
        return
    for photo in json.loads(path.read_text(encoding="utf-8")).get("photos", []):
        file = Path(photo["path"])
        if file.is_file() and sha256(file) != photo["sha256"]:
            raise InputError(f"The photo {file} has changed since {path} was written, so the run cannot be repeated.")


def read_settings(path: Path, schema: type) -> dict[str, Any]:
    """The arguments of a preset (TOML) or of an earlier run (`run.json`), for the dataclass `schema`.

    Raises InputError for a file that cannot be read and for keys that `schema` does not have.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(f"The config file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"The config file {path} is not valid {path.suffix[1:] or 'TOML'}: {error}.") from error
    settings = content.get("arguments") if path.suffix == ".json" and isinstance(content, dict) else content
    if not isinstance(settings, dict):
        raise InputError(f"The config file {path} holds no arguments; accepted: a preset (TOML) or a run.json.")
    known = {field.name: field for field in fields(schema)}
    unknown = sorted(settings.keys() - known.keys())
    if unknown:
        raise InputError(
            f"The config file {path} has unknown keys: {', '.join(unknown)}; accepted: {', '.join(known)}."
        )
    return {name: _as_default(path, name, value, known[name].default) for name, value in settings.items()}


def _as_default(path: Path, name: str, value: Any, default: Any) -> Any:
    """A value in the type of its argument's default: lists become tuples, text a path, one value a tuple of one."""
    if isinstance(default, tuple):
        values = value if isinstance(value, list) else [value]
        return tuple(Path(item) if name == "photos" else item for item in values)
    if isinstance(default, Path):
        return Path(value)
    numbers = isinstance(default, int | float) and isinstance(value, int | float) and not isinstance(value, bool)
    if default is MISSING or default is None or numbers or isinstance(value, type(default)):
        return value
    raise InputError(f"The config file {path} has {name} = {value!r}, but it must be of the kind of {default!r}.")
