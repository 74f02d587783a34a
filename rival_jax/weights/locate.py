"""From a model's name to its directory: the embedded model, a path, or a repository on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from numpy.typing import DTypeLike

from rival_jax.errors import InputError
from rival_jax.weights.files import FEATURE_EXTRACTOR, STEMS, choose

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
    "tokenizer",
    *(f"{part}/config.json" for part in STEMS),
)
_SMALL_FILES = (
    "model_index.json",
    "tokenizer/*.txt",
    *(f"{part}/*.json" for part in ("scheduler", "tokenizer", *STEMS)),
)
_CHECKER_FILES = ("safety_checker/*.json", f"{FEATURE_EXTRACTOR}/*.json")
"""Fetched where the repository has weights of a safety checker that can be read."""


def resolve(model: str | Path, dtypes: Mapping[str, DTypeLike]) -> Path:
    """The directory of a model named "tiny", by a path or by a hub id (downloaded, for loading each part in its dtype).

    Raises InputError where there is no such model, or where the directory lacks a part of one.
    """
    directory = _ASSETS / EMBEDDED if model == EMBEDDED else Path(model).expanduser()
    if not directory.is_dir():
        if directory.exists() or not re.fullmatch(r"\w[\w.-]*/[\w.-]+", str(model)):
            raise InputError(f"The model {model} is not a directory; accepted: {_ACCEPTED}.")
        directory = _download(str(model), dtypes)
    missing = [path for path in _REQUIRED if not (directory / path).exists()]
    if missing:
        raise InputError(
            f"The model directory {directory} is not in the diffusers layout: it lacks {', '.join(missing)}."
        )
    return directory.resolve()


def _download(model: str, dtypes: Mapping[str, DTypeLike]) -> Path:
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

    try:
        names = [file.rfilename for file in HfApi().model_info(model, timeout=10).siblings or ()]
        weights = _weight_names(names, dtypes)
        if any(name.startswith("safety_checker/") for name in weights):
            weights += _CHECKER_FILES
        return Path(snapshot_download(model, allow_patterns=[*_SMALL_FILES, *weights]))
    except HFValidationError as error:
        raise InputError(
            f"The model {model} is neither a directory here nor a possible hub id (owner/name)."
        ) from error
    except GatedRepoError as error:
        raise InputError(
            f"The model {model} is gated: accept its terms on the hub and log in with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(f"The model {model} is neither a directory here nor a repository on the hub.") from error
    except Exception as error:  # noqa: BLE001 (what an unreachable hub raises differs between client versions)
        reason = type(error).__name__
    try:
        return Path(snapshot_download(model, allow_patterns=list(_SMALL_FILES), local_files_only=True))
    except LocalEntryNotFoundError as error:
        tried = f"no directory here, not in the hub's cache, and the hub could not be reached ({reason})"
        raise InputError(f"The model {model} was not found: {tried}.") from error


def _weight_names(names: list[str], dtypes: Mapping[str, DTypeLike]) -> list[str]:
    """The weight files to fetch among a repository's files: one set a network, as `choose` prefers them."""
    wanted = []
    for part, dtype in dtypes.items():
        inside = {name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")}
        chosen = choose(inside, STEMS.get(part, "model"), dtype)
        if chosen is None:
            continue
        kind = "bin" if ".bin" in chosen else "safetensors"
        shard = re.compile(rf"{chosen.partition('.')[0]}.*-\d+-of-\d+.*\.{kind}")
        shards = [name for name in sorted(inside) if shard.fullmatch(name) and ("fp16" in name) == ("fp16" in chosen)]
        wanted += [f"{part}/{name}" for name in (chosen, *(shards if chosen.endswith(".json") else ()))]
    return wanted
