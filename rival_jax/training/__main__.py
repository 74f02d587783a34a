"""Trains the embedded model: `python -m rival_jax.training --work DIR [--out DIR]`, seeded and resumable."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from flax import nnx
from safetensors.numpy import save
from transformers import CLIPTokenizer

from rival_jax.training import autoencoder, contrastive, diffusion
from rival_jax.training.recipe import PICTURE, SCHEDULER_JSON, TEXT_JSON, UNET_JSON, VAE_JSON, Recipe
from rival_jax.training.vocabulary import write_tokenizer
from rival_jax.training.world import make_dataset
from rival_jax.weights import TEXT_ENCODER, UNET, VAE, Part, export


@dataclass(frozen=True)
class Train:
    """Draws the world, then trains text tower, autoencoder and UNet; a killed run goes on where it was."""

    work: Path
    """Folder for pictures, checkpoints and loss curves."""
    out: Path = Path("tiny")
    """Where the finished model is written, in the diffusers layout."""
    recipe: Recipe = field(default_factory=Recipe)


def main() -> None:
    args = tyro.cli(Train, description=__doc__)
    recipe, work, out = args.recipe, args.work, args.out
    work.mkdir(parents=True, exist_ok=True)
    _keep_recipe(recipe, work / "recipe.json")

    write_tokenizer(out / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(out / "tokenizer")
    pictures, captions = _world(recipe, work)
    ids = _ids(tokenizer, captions)
    text_config = recipe.text_config(len(tokenizer))

    pair_def, pair = contrastive.train(pictures, ids, recipe, work / "text", text_config, _reporter("text"))
    text = nnx.split(nnx.merge(pair_def, pair).text)
    _write(out, TEXT_ENCODER, text[1], TEXT_JSON | _special_ids(tokenizer))

    vae_def, vae = autoencoder.train(pictures, recipe, work / "vae", _reporter("vae"))
    latents = autoencoder.encode(vae_def, vae, pictures)
    scaling = float(1 / latents.std())
    _write(out, VAE, vae, VAE_JSON | {"scaling_factor": scaling})

    empty = _ids(tokenizer, [""])[0]
    _, unet = diffusion.train(latents * scaling, ids, empty, text, recipe, work / "unet", _reporter("unet"))
    _write(out, UNET, unet, UNET_JSON)
    _write_index(out)


def _keep_recipe(recipe: Recipe, path: Path) -> None:
    """A folder belongs to one recipe: going on with another would mix two trainings."""
    wanted = json.dumps(dataclasses.asdict(recipe), indent=2)
    if path.exists() and path.read_text() != wanted:
        raise SystemExit(f"{path.parent} was begun with another recipe ({path}); take another folder.")
    path.write_text(wanted)


def _world(recipe: Recipe, work: Path) -> tuple[np.ndarray, list[str]]:
    pictures, captions = work / "pictures.npy", work / "captions.json"
    if not captions.exists():
        drawn, texts = make_dataset(recipe.pictures, recipe.seed, PICTURE)
        np.save(pictures, drawn)
        captions.write_text(json.dumps(texts))
    return np.load(pictures), json.loads(captions.read_text())


def _ids(tokenizer: CLIPTokenizer, captions: list[str]) -> np.ndarray:
    encoded = tokenizer(captions, padding="max_length", truncation=True, return_tensors="np")
    return encoded["input_ids"].astype(np.int32)


def _special_ids(tokenizer: CLIPTokenizer) -> dict[str, int]:
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {"vocab_size": len(tokenizer), **{name: getattr(tokenizer, name) for name in names}}


def _reporter(name: str) -> Callable[[int, int, float], None]:
    return lambda step, steps, loss: print(f"{name} {step}/{steps} loss {loss:.4f}", flush=True)


def _write(out: Path, part: Part, state: nnx.State, config: dict) -> None:
    """One network in the diffusers layout, float16, with its config."""
    folder = out / part.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {key: tensor.astype(np.float16) for key, tensor in export(part.table, state).items()}
    name = "model" if part is TEXT_ENCODER else "diffusion_pytorch_model"
    (folder / f"{name}.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))


def _write_index(out: Path) -> None:
    folder = out / "scheduler"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scheduler_config.json").write_text(json.dumps(SCHEDULER_JSON, indent=2) + "\n")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
