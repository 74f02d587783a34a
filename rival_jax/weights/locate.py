"""From a model's name to its directory: the embedded model, a path, or a repository on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from numpy.typing import DTypeLike

from rival_jax.errors import InputError
from rival_jax.weights.files import (
    ENCODERS,
    FEATURE_EXTRACTOR,
    NEEDED,
    NOISING,
    NORMALIZER,
    STEMS,
    TEXT_ENCODERS,
    choose,
)

EMBEDDED = "tiny"
_ASSETS = Path(__file__).parent.parent / "assets"
FILES = (".safetensors", ".ckpt", ".pt", ".bin")
"""How the names of checkpoints in one file end."""
_ACCEPTED = (
    f'"{EMBEDDED}", a directory in the diffusers layout, a hub id (owner/name), or one file ({", ".join(FILES)})'
)
_REQUIRED = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    *(f"{part}/config.json" for part in NEEDED),
)
_SMALL_FILES = (
    "model_index.json",
    *(f"{part}/*.txt" for part in TEXT_ENCODERS.values()),
    *(f"{part}/*.json" for part in ("scheduler", *TEXT_ENCODERS.values(), *NEEDED, *ENCODERS, FEATURE_EXTRACTOR)),
    f"{NORMALIZER}/*.json",
    NOISING,
)


def resolve(model: str | Path, dtypes: Mapping[str, DTypeLike]) -> Path:
    """The directory of a model named "tiny", by a path or by a hub id (downloaded, for loading each part in its dtype).

    Raises InputError where there is no such model, or where the directory lacks a part of one.
    """

    def files(names: Collection[str]) -> list[str]:
        weights = [
            file for part, dtype in dtypes.items() for file in _weight_names(names, f"{part}/", STEMS[part], dtype)
        ]
        has_checker = any(name.startswith("safety_checker/") for name in weights)
        return [*_SMALL_FILES, *weights, *(["safety_checker/*.json"] if has_checker else [])]

    directory = _ASSETS / EMBEDDED if model == EMBEDDED else _find("model", model, _ACCEPTED, files)
    missing = [path for path in _REQUIRED if not (directory / path).exists()]
    if missing:
        raise InputError(
            f"The model directory {directory} is not in the diffusers layout: it lacks {', '.join(missing)}."
        )
    return directory.resolve()


def resolve_network(kind: str, name: str | Path, stem: str, dtype: DTypeLike) -> Path:
    """The directory of a network published alone, such as a "ControlNet", by a path or by a hub id (downloaded).

    Raises InputError where there is no such directory; what is in it is not looked at.
    """
    accepted = "a directory with its config.json and weights, or a hub id (owner/name)"
    return _find(kind, name, accepted, lambda names: ["config.json", *_weight_names(names, "", stem, dtype)]).resolve()


def _find(kind: str, name: str | Path, accepted: str, files: Callable[[Collection[str]], list[str]]) -> Path:
    """A directory by its path, or a repository of the hub of which `files` picks what is needed."""
    directory = Path(name).expanduser()
    if directory.is_dir():
        return directory
    if directory.exists() or not re.fullmatch(r"\w[\w.-]*/[\w.-]+", str(name)):
        raise InputError(f"The {kind} {name} is not a directory; accepted: {accepted}.")
    return _download(kind, str(name), files)


def _download(kind: str, name: str, files: Callable[[Collection[str]], list[str]]) -> Path:
    """The local snapshot of a repository; from the hub's cache where the hub is out of reach.

    Raises InputError that says what was tried.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    called = f"The {kind} {name}"
    try:
        names = [file.rfilename for file in HfApi().model_info(name, timeout=10).siblings or ()]
        return Path(snapshot_download(name, allow_patterns=files(names)))
    except HFValidationError as error:
        raise InputError(f"{called} is neither a directory here nor a possible hub id (owner/name).") from error
    except GatedRepoError as error:
        raise InputError(f"{called} is gated: accept its terms on the hub and log in with `hf auth login`.") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{called} is neither a directory here nor a repository on the hub.") from error
    except Exception as error:  # noqa: BLE001 (what an unreachable hub raises differs between client versions)
        reason = type(error).__name__
    try:
        return Path(snapshot_download(name, allow_patterns=files(()), local_files_only=True))
    except LocalEntryNotFoundError as error:
        tried = f"no directory here, not in the hub's cache, and the hub could not be reached ({reason})"
        raise InputError(f"{called} was not found: {tried}.") from error


def _weight_names(names: Collection[str], folder: str, stem: str, dtype: DTypeLike) -> list[str]:
    """The weight files of a network to fetch among a repository's files: one set, as `choose` prefers them.

    `folder` is what their paths begin with.
    """
    inside = {name.removeprefix(folder) for name in names if name.startswith(folder)}
    chosen = choose(inside, stem, dtype)
    if chosen is None:
        return []
    kind = "bin" if ".bin" in chosen else "safetensors"
    shard = re.compile(rf"{chosen.partition('.')[0]}.*-\d+-of-\d+.*\.{kind}")
    shards = [name for name in sorted(inside) if shard.fullmatch(name) and ("fp16" in name) == ("fp16" in chosen)]
    return [folder + name for name in (chosen, *(shards if chosen.endswith(".json") else ()))]
