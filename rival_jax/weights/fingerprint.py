"""What a model is, in one number: equal for equal files, wherever they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from rival_jax.record import sha256
from rival_jax.weights.files import (
    ENCODERS,
    FEATURE_EXTRACTOR,
    NEEDED,
    NOISING,
    NORMALIZER,
    STEMS,
    TEXT_ENCODERS,
    choose,
    has_safety_checker,
    weight_files,
)

_SINGLE, _HALF = "float32", "float16"
_DTYPES: dict[str, tuple[str, ...]] = dict.fromkeys(("vae", "safety_checker", NORMALIZER), (_SINGLE,))
"""In which some networks are loaded; the others in either: each has its own preferred files."""

_TOKENIZER = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def fingerprint(directory: Path, single: Path | None = None) -> str:
    """sha256 of every config and weight file that is read of a model directory in the diffusers layout, in hex.

    Of the lines that `sha256sum` would print for them, sorted by their names in the directory. Weights that are stored
    in several dtypes count in all in which they may be read. A file that holds all of them, `single`, counts in their
    place, without its name. Raises InputError for a network without weights.
    """
    found = _configs(directory) if single else _files(directory)
    names = sorted({file.relative_to(directory).as_posix() for file in found if file.is_file()})
    lines = [f"{sha256(directory / name)}  {name}\n" for name in names]
    lines += [f"{sha256(single)}  \n"] if single else []
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _configs(directory: Path) -> Iterator[Path]:
    """What the loader reads of any model beside weights, where it is there."""
    yield directory / "model_index.json"
    yield directory / "scheduler" / "scheduler_config.json"
    yield from (directory / part / name for part in TEXT_ENCODERS.values() for name in _TOKENIZER)
    yield from (directory / part / "config.json" for part in (*NEEDED, *ENCODERS))
    yield from (directory / name for name in (f"{NORMALIZER}/config.json", NOISING))


def _files(directory: Path) -> Iterator[Path]:
    """What the loader reads of a directory, where it is there."""
    yield from _configs(directory)
    checker = ("safety_checker",) if has_safety_checker(directory) else ()
    yield from (directory / part / "config.json" for part in checker)
    encoders = tuple(part for part in (*ENCODERS, NORMALIZER) if (directory / part).is_dir())
    for part in (*NEEDED, *encoders, *checker):
        for dtype in _DTYPES.get(part, (_SINGLE, _HALF)):
            yield from _weights(directory / part, STEMS[part], dtype)
    if checker or "image_encoder" in encoders:
        yield from (directory / FEATURE_EXTRACTOR / f"{name}_config.json" for name in ("processor", "preprocessor"))


def _weights(folder: Path, stem: str, dtype: str) -> Iterator[Path]:
    """A network's weight files, and where there are shards their index."""
    yield from weight_files(folder, stem, dtype)
    if chosen := choose([file.name for file in folder.iterdir()], stem, dtype):
        yield folder / chosen
