"""Trains the embedded model and what measures it: `python -m rival_jax.training --work DIR --out DIR`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from flax import nnx
from rich.console import Console

from rival_jax.progress import shown_on
from rival_jax.text import read_tokenizer
from rival_jax.training import autoencoder, contrastive, diffusion, export, recognition
from rival_jax.training.datasets import labelled, make_dataset
from rival_jax.training.devices import use_all_cores
from rival_jax.training.recipe import PICTURE, Recipe
from rival_jax.training.textures import make_textures
from rival_jax.training.vocabulary import write_tokenizer


@dataclass(frozen=True)
class Train:
    """Draws the world, then trains CLIP, autoencoder, UNet, judge and recogniser; a killed run goes on where it was."""

    work: Path
    """Folder for pictures, checkpoints and loss curves."""
    out: Path
    """Where the model (tiny/, in the diffusers layout), judge/ (a CLIP) and recogniser/ (a classifier) are written."""
    recipe: Recipe = field(default_factory=Recipe)


Show = Callable[[str, int, int, str], None]


def main() -> None:
    args = tyro.cli(Train, description=__doc__)
    use_all_cores()
    with shown_on(Console(stderr=True)) as show:
        train(args, show)


def train(args: Train, show: Show) -> None:
    """All phases in order; what is done is read from the work folder."""
    recipe, work, tiny = args.recipe, args.work, args.out / "tiny"
    work.mkdir(parents=True, exist_ok=True)
    _keep_recipe(recipe, work / "recipe.json")

    write_tokenizer(tiny / "tokenizer")
    tokenizer = read_tokenizer(tiny / "tokenizer")
    pictures, captions = _world(recipe, work)
    ids = _ids(tokenizer, captions)
    config = recipe.clip_config(len(tokenizer))

    clip, _ = contrastive.train(pictures, ids, config, recipe.clip, recipe.seed, work / "clip", _reporter(show, "clip"))
    export.write_text_encoder(tiny, clip.text_model, tokenizer)

    textures = _kept(work / "textures.npy", lambda: make_textures(recipe.textures, recipe.seed, PICTURE))
    vae_def, vae = autoencoder.train(pictures, textures, recipe, work / "vae", _reporter(show, "vae"))
    latents = _kept(work / "latents.npy", lambda: autoencoder.encode(vae_def, vae, pictures))
    scaling = float(1 / latents.std())
    export.write_vae(tiny, vae, scaling)

    empty, text = _ids(tokenizer, [""])[0], nnx.split(clip.text_model)
    _, unet = diffusion.train(latents * scaling, ids, empty, text, recipe, work / "unet", _reporter(show, "unet"))
    export.write_unet(tiny, unet)
    export.write_pipeline(tiny)

    seed = recipe.seed + 100  # other weights, batches and drawings than the model's own
    pair = contrastive.train(pictures, ids, config, recipe.judge, seed, work / "judge", _reporter(show, "judge"))
    export.write_judge(args.out / "judge", *pair, tokenizer)

    drawn, sorts = labelled(recipe.drawings, seed, PICTURE), recipe.classifier_config()
    state = recognition.train(drawn, sorts, recipe.recogniser, seed, work / "recogniser", _reporter(show, "recogniser"))
    export.write_recogniser(args.out / "recogniser", state)


def _keep_recipe(recipe: Recipe, path: Path) -> None:
    """A folder belongs to one recipe: going on with another would mix two trainings."""
    wanted = json.dumps(dataclasses.asdict(recipe), indent=2)
    if path.exists() and path.read_text() != wanted:
        raise SystemExit(f"{path.parent} was begun with another recipe ({path}); take another folder.")
    path.write_text(wanted)


def _world(recipe: Recipe, work: Path) -> tuple[np.ndarray, list[str]]:
    captions = work / "captions.json"

    def draw() -> np.ndarray:
        pictures, texts = make_dataset(recipe.pictures, recipe.seed, PICTURE)
        captions.write_text(json.dumps(texts))
        return pictures

    pictures = _kept(work / "pictures.npy", draw)  # last of the two: where it is, the captions are whole
    return pictures, json.loads(captions.read_text())


def _kept(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """An array that is computed once and then read; a file of that name is whole."""
    if not path.exists():
        temporary = path.with_name(f"part-{path.name}")
        np.save(temporary, compute())
        temporary.replace(path)
    return np.load(path)


def _ids(tokenizer: Any, captions: list[str]) -> np.ndarray:
    encoded = tokenizer(captions, padding="max_length", truncation=True, return_tensors="np")
    return encoded["input_ids"].astype(np.int32)


def _reporter(show: Show, name: str) -> Callable[[int, int, float], None]:
    return lambda step, steps, loss: show(name, step, steps, f"loss {loss:.4f}")


if __name__ == "__main__":
    main()
