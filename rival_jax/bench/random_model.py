"""Checkpoints of the sizes that people use, with random weights: speed does not depend on what they are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors.numpy import save_file

from rival_jax.training.export import write_pipeline
from rival_jax.training.vocabulary import write_tokenizer
from rival_jax.weights import TEXT_ENCODER, UNET, VAE, Part, export
from rival_jax.weights.load import build

_UNET = {
    "_class_name": "UNet2DConditionModel",
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
}
_VAE = {
    "_class_name": "AutoencoderKL",
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
_TEXT = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "max_position_embeddings": 77}
_SD15_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_SD21_TEXT = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}

SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "sd15": {
        "unet": _UNET | {"sample_size": 64, "attention_head_dim": 8, "cross_attention_dim": 768},
        "vae": _VAE | {"sample_size": 512},
        "text_encoder": _TEXT | _SD15_TEXT,
    },
    "sd21": {
        "unet": _UNET
        | {
            "sample_size": 96,
            "attention_head_dim": [5, 10, 20, 20],
            "cross_attention_dim": 1024,
            "use_linear_projection": True,
        },
        "vae": _VAE | {"sample_size": 768},
        "text_encoder": _TEXT | _SD21_TEXT | {"hidden_act": "gelu"},
    },
}
"""The configs of Stable Diffusion 1.5 (512 pixels) and 2.1 (768 pixels)."""


def write_random(directory: Path, size: str) -> Path:
    """A checkpoint in the diffusers layout, float16, which diffusers reads too; written once, returns `directory`."""
    if not (directory / "model_index.json").exists():
        write_tokenizer(directory / "tokenizer", length=77)
        vocabulary = json.loads((directory / "tokenizer" / "vocab.json").read_text())
        configs = SIZES[size]
        text = configs["text_encoder"] | {"vocab_size": len(vocabulary)}
        for part, config in ((UNET, configs["unet"]), (VAE, configs["vae"]), (TEXT_ENCODER, text)):
            _write(directory / part.folder, part, config)
        write_pipeline(directory)  # last: where it is, the rest is whole
    return directory


def _write(folder: Path, part: Part, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    _, network = build(part, folder / "config.json", np.float16)
    rng = np.random.default_rng(0)
    filled = nnx.map_state(lambda path, leaf: _random(rng, path[-1], leaf.shape), nnx.state(network))
    save_file(export(part.table, filled), folder / f"{part.stem}.safetensors", metadata={"format": "pt"})


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Kernels keep the size of what they are given; norms and biases start as they do."""
    if name in ("bias", "scale"):
        return np.full(shape, float(name == "scale"), np.float16)
    fan_in = shape[-1] if name == "embedding" else math.prod(shape[:-1])
    return (rng.standard_normal(shape, np.float32) * fan_in**-0.5).astype(np.float16)
