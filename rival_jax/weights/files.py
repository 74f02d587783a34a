"""The diffusers directory layout: which files of a network's folder hold its weights."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rival_jax.errors import InputError

DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model", "model"
"""What the names of a network's weight files begin with, by the library that writes them."""

NEEDED = ("unet", "vae")
"""The folders without which there is no model."""

TEXT_ENCODERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
"""The folders of text encoders, and those of their tokenizers."""

ENCODERS = (*TEXT_ENCODERS, "image_encoder")
"""The folders of what makes prompts, of which a model has one or two."""

NORMALIZER = "image_normalizer"
"""The folder of the statistics with which Stable unCLIP noises embedded pictures."""

STEMS: dict[str, str] = dict.fromkeys((*NEEDED, NORMALIZER), DIFFUSERS)
STEMS |= dict.fromkeys((*ENCODERS, "safety_checker"), TRANSFORMERS)
"""The folders of a model's networks, and what their weight files begin with."""

NOISING = "image_noising_scheduler/scheduler_config.json"
"""The noise levels of that."""

FEATURE_EXTRACTOR = "feature_extractor"
"""The folder that says how pictures are normalised for the image encoder and the safety checker."""


def has_safety_checker(directory: Path) -> bool:
    """Whether a model directory has one: its folder, and no word against it in `model_index.json`.

    Raises InputError where that cannot be read.
    """
    named = read_json(directory / "model_index.json").get("safety_checker")
    return named != [None, None] and (directory / "safety_checker").is_dir()


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises InputError that names the file."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The file {file} is {'corrupt JSON' if file.is_file() else 'missing'}.") from error
    if not isinstance(value, dict):
        raise InputError(f"The file {file} must hold a JSON object.")
    return value


def weight_files(folder: Path, stem: str, dtype: DTypeLike) -> list[Path]:
    """The files that hold a network's weights, shards in order. Raises InputError where there are none to read."""
    names = {file.name for file in folder.iterdir()}
    chosen = choose(names, stem, dtype)
    if chosen is None:
        raise InputError(f"The folder {folder} has no weights: safetensors, Flax msgpack or torch .bin are needed.")
    if not chosen.endswith(".json"):
        return [folder / chosen]
    shards = read_json(folder / chosen).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise InputError(f"The file {folder / chosen} has no weight_map from tensors to files.")
    absent = sorted(set(shards.values()) - names)
    if absent:
        raise InputError(f"The file {folder / chosen} names {', '.join(absent)}, which is not there.")
    return [folder / name for name in sorted(set(shards.values()))]


def choose(names: Collection[str], stem: str, dtype: DTypeLike) -> str | None:
    """Picks the weight file, or index of shards, among the file names of a folder.

    Plain files are preferred for float32 and half-precision variants for 16 bits; either serves where the other is
    absent. Flax weights come next, and pickles last: they are the only ones that could ask for anything to be run.
    """
    flax = ("diffusion_flax_model.msgpack", "flax_model.msgpack")
    former = "pytorch_model" if stem == "model" else stem
    order = (*_spellings(stem, "safetensors", dtype), *flax, *_spellings(former, "bin", dtype))
    return next((name for name in order if name in names), None)


def _spellings(stem: str, kind: str, dtype: DTypeLike) -> tuple[str, ...]:
    """The names of weight files of a kind and their indices, those of the wanted precision first."""
    plain = (f"{stem}.{kind}", f"{stem}.{kind}.index.json")
    half = (f"{stem}.fp16.{kind}", f"{stem}.{kind}.index.fp16.json", f"{stem}.fp16.{kind}.index.json")
    return (*half, *plain) if np.dtype(dtype).itemsize == 2 else (*plain, *half)
