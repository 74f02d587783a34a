"""Trained networks as files: the standard diffusers layout, the judge as transformers' CLIPModel; float16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flax import nnx
from safetensors.numpy import save

from rival_jax.metrics.recogniser import PART
from rival_jax.models.clip import CLIP as CLIPModel
from rival_jax.models.clip import TextEncoder
from rival_jax.training.recipe import (
    CLASSIFIER_JSON,
    PICTURE,
    PROJECTION,
    SCHEDULER_JSON,
    TEXT_JSON,
    UNET_JSON,
    VAE_JSON,
    VISION_JSON,
)
from rival_jax.training.vocabulary import write_tokenizer
from rival_jax.weights import CLIP, TEXT_ENCODER, UNET, VAE, Part
from rival_jax.weights import export as tensors_of

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


def write_text_encoder(model: Path, text_encoder: TextEncoder, tokenizer: CLIPTokenizer) -> None:
    """The text tower, as `text_encoder/`."""
    _write_network(model, TEXT_ENCODER, nnx.state(text_encoder), TEXT_JSON | _token_ids(tokenizer))


def write_vae(model: Path, state: nnx.State, scaling_factor: float) -> None:
    """The autoencoder, as `vae/`."""
    _write_network(model, VAE, state, VAE_JSON | {"scaling_factor": scaling_factor})


def write_unet(model: Path, state: nnx.State) -> None:
    """The UNet, as `unet/`."""
    _write_network(model, UNET, state, UNET_JSON)


def write_pipeline(model: Path) -> None:
    """The scheduler, and the index that makes the parts one Stable Diffusion pipeline."""
    _write_json(model / "scheduler" / "scheduler_config.json", SCHEDULER_JSON)
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
    _write_json(model / "model_index.json", index)


def write_judge(directory: Path, clip: CLIPModel, logit_scale: float, tokenizer: CLIPTokenizer) -> None:
    """Both towers, with their tokenizer and what a picture must be before it is looked at."""
    ids = _token_ids(tokenizer)
    config = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": PROJECTION,
        "text_config": {**TEXT_JSON, **ids, "projection_dim": PROJECTION},
        "vision_config": VISION_JSON | {"projection_dim": PROJECTION},
    }
    _write_network(directory, CLIP, nnx.state(clip), config, logit_scale=np.asarray(logit_scale, np.float16))
    write_tokenizer(directory)
    size = {"height": PICTURE, "width": PICTURE}
    preprocessing = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": PICTURE},
        "do_center_crop": True,
        "crop_size": size,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 3,
    }
    _write_json(directory / "preprocessor_config.json", preprocessing)


def write_recogniser(directory: Path, state: nnx.State) -> None:
    """The classifier of things and colours."""
    _write_network(directory, PART, state, CLASSIFIER_JSON)


def _token_ids(tokenizer: CLIPTokenizer) -> dict[str, int]:
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {"vocab_size": len(tokenizer), **{name: getattr(tokenizer, name) for name in names}}


def _write_network(model: Path, part: Part, state: nnx.State, config: dict, **more: np.ndarray) -> None:
    folder = model / part.folder
    _write_json(folder / "config.json", config)
    tensors = {key: tensor.astype(np.float16) for key, tensor in tensors_of(part.table, state).items()}
    tensors |= more
    (folder / f"{part.stem}.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))


def _write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
