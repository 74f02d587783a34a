"""A tiny model directory in the diffusers layout, written without torch from random leaves through the key tables."""

import json
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save_file

from rival_jax.training.vocabulary import write_tokenizer
from rival_jax.weights import CONTROLNET, SAFETY_CHECKER, TEXT_ENCODER, UNET, VAE, export

WORDS = ("a", "red", "blue", "house", "car", "on", "grass")


class Model:
    """A directory, and for each network its config, state and what was written of it under torch's names."""

    parts = {part.folder: part for part in (UNET, VAE, TEXT_ENCODER, SAFETY_CHECKER)} | {"controlnet": CONTROLNET}
    stems = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    configs = {
        "unet": {
            "sample_size": 8,
            "block_out_channels": [8, 16],
            "layers_per_block": 1,
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
            "attention_head_dim": 2,
            "cross_attention_dim": 12,
            "norm_num_groups": 4,
        },
        "vae": {
            "block_out_channels": [8, 16],
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "norm_num_groups": 4,
        },
        "text_encoder": {
            "vocab_size": 600,
            "hidden_size": 12,
            "intermediate_size": 20,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 10,
        },
    }

    def __init__(self, directory: Path):
        self.directory = directory
        self.states = {folder: self.random_state(folder) for folder in self.configs}
        self.tensors = {folder: export(self.parts[folder].table, state) for folder, state in self.states.items()}
        for folder, config in self.configs.items():
            self.write_config(folder, config)
            self.rewrite(folder, self.tensors[folder])
        write_tokenizer(directory / "tokenizer", WORDS)
        for name in ("model_index.json", "scheduler/scheduler_config.json"):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text("{}")

    @classmethod
    def random_state(cls, folder, seed=0, **changes):
        """A network's state with a different random number, float16-exact, in every place."""
        return random_state(cls.parts[folder], seed, json.dumps(cls.configs[folder] | changes))

    def write_config(self, folder, config):
        (self.directory / folder).mkdir(exist_ok=True)
        (self.directory / folder / "config.json").write_text(json.dumps(config))

    def write(self, folder, name, tensors):
        save_file(tensors, self.directory / folder / name)

    def rewrite(self, folder, tensors):
        """Replaces a network's only weight file."""
        self.write(folder, f"{self.stems[folder]}.safetensors", tensors)

    def remove(self, folder):
        (self.directory / folder / f"{self.stems[folder]}.safetensors").unlink()


CHECKER = {
    "model_type": "clip",
    "projection_dim": 6,
    "text_config": {"model_type": "clip_text_model"},
    "vision_config": {
        "model_type": "clip_vision_model",
        "image_size": 8,
        "patch_size": 4,
        "hidden_size": 12,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
}


def write_checker(directory, **tensors):
    """Adds a random safety checker that flags nothing, unless its `tensors` are given; returns all, as published."""
    exported = export(SAFETY_CHECKER.table, random_state(SAFETY_CHECKER, 0, json.dumps(CHECKER)))
    published = {}
    for key, tensor in exported.items():
        concepts, _, kind = key.rpartition(".")
        if concepts in ("concept", "special_care"):
            key = f"{concepts}_embeds" if kind == "embeds" else f"{concepts}_embeds_weights"
        published[key.replace("vision_model.", "vision_model.vision_model.")] = tensor
    published |= {f"{name}_embeds_weights": np.full(n, 2, np.float32) for name, n in _CONCEPTS.items()} | tensors
    for folder in ("safety_checker", "feature_extractor"):
        (directory / folder).mkdir(exist_ok=True)
    (directory / "safety_checker/config.json").write_text(json.dumps(CHECKER))
    (directory / "feature_extractor/preprocessor_config.json").write_text("{}")
    save_file(published, directory / "safety_checker/model.safetensors")
    return published


CONTROL = {
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "attention_head_dim": 2,
    "cross_attention_dim": 12,
    "norm_num_groups": 4,
    "conditioning_embedding_out_channels": [4, 6],
}


def write_controlnet(directory, seed=0, **changes):
    """Writes a random ControlNet, by itself that of the tests' model, into `directory`; returns its tensors."""
    config = json.dumps(CONTROL | changes)
    tensors = export(CONTROLNET.table, random_state(CONTROLNET, seed, config))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(config)
    save_file(tensors, directory / "diffusion_pytorch_model.safetensors")
    return tensors


_CONCEPTS = {"concept": 17, "special_care": 3}


@cache
def random_state(part, seed, config):
    """A part's state by its config.json, with a different random number, float16-exact, in every place."""
    network_config = part.config.from_dict(json.loads(config))
    state = nnx.state(nnx.eval_shape(lambda: part.module(network_config, dtype=jnp.float32, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(seed)
    leaves = flatten_dict(nnx.to_pure_dict(state))
    values = {path: _draw(rng, path[-1], leaf.shape) for path, leaf in leaves.items()}
    nnx.replace_by_pure_dict(state, unflatten_dict({path: value.astype(np.float32) for path, value in values.items()}))
    return state


def _draw(rng, kind, shape):
    """Random numbers that keep activations at about unit size."""
    noise = rng.standard_normal(shape)
    if kind == "kernel":
        noise /= np.sqrt(np.prod(shape[:-1]))
    elif kind == "scale":
        noise = 1 + 0.2 * noise
    elif kind == "bias":
        noise *= 0.1
    return noise.astype(np.float16)
