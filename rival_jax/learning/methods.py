"""What is trained of a pipeline, what networks it gives, and the file that others load it from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from rival_jax.errors import InputError
from rival_jax.models.network import Network
from rival_jax.pipeline import RivalPipeline
from rival_jax.weights import UNET, export
from rival_jax.weights.rules import leaf_paths, with_leaves

_TABLE = "embeddings.token_embedding.embedding"
_ATTENTION = re.compile(r".*\.attn[12]\.to_(q|k|v|out\.0)\.kernel")
Params = dict[str, Any]


class Method(Protocol):
    """One way to learn a concept; `pipe` is the pipeline that is learnt on, made ready for it."""

    @property
    def pipe(self) -> RivalPipeline: ...

    def params(self, key: jax.Array) -> Params:
        """What is trained, as it is before."""
        ...

    def networks(self, params: Params, unet: Network, text_encoder: Network) -> tuple[Network, Network]:
        """The UNet and the text encoder with what is trained in its place."""
        ...

    def write(self, params: Params, folder: Path) -> Path:
        """Writes what was learnt, and returns what `load_*` or `from_pretrained` is told."""
        ...


@dataclass(frozen=True)
class TextualInversion:
    """Vectors (n, d) of a new token. Source: Textual Inversion, section 4 (arXiv 2208.01618)."""

    pipe: RivalPipeline
    token: str
    first: int
    vectors: np.ndarray

    @classmethod
    def of(cls, pipe: RivalPipeline, token: str, initializer_token: str | None, num_vectors: int) -> TextualInversion:
        """The token begins as a word that the model knows, or as the mean of all. Raises InputError."""
        table = np.asarray(leaf_paths(pipe.text_encoder.state)[_TABLE], np.float32)
        first = len(pipe.tokenizer.tokenizer)
        start = table[:first].mean(axis=0, keepdims=True)
        if initializer_token is not None:
            ids = pipe.tokenizer.tokenizer(initializer_token, add_special_tokens=False)["input_ids"]
            if not ids:
                raise InputError(f"initializer_token is {initializer_token!r}, but must be a word.")
            start = table[ids].mean(axis=0, keepdims=True)
        vectors = np.repeat(start, num_vectors, axis=0)
        conditioner = pipe.conditioner.with_token(token, [vectors])
        return cls(replace(pipe, conditioner=conditioner), token, first, vectors)

    def params(self, key: jax.Array) -> Params:
        """A little apart, where there are several: else they would stay alike."""
        size = float(np.abs(self.vectors).mean()) * (len(self.vectors) > 1)
        return {"vectors": jnp.asarray(self.vectors) + 0.1 * size * jax.random.normal(key, self.vectors.shape)}

    def networks(self, params: Params, unet: Network, text_encoder: Network) -> tuple[Network, Network]:
        table = leaf_paths(text_encoder.state)[_TABLE]
        rows = slice(self.first, self.first + len(self.vectors))
        changed = {_TABLE: table.at[rows].set(params["vectors"].astype(table.dtype))}
        return unet, replace(text_encoder, state=with_leaves(text_encoder.state, changed))

    def write(self, params: Params, folder: Path) -> Path:
        file = folder / "learned_embeds.safetensors"
        save_file({self.token: np.asarray(params["vectors"], np.float32)}, file)
        return file


@dataclass(frozen=True)
class LoRA:
    """Thin matrices beside every attention layer of the UNet: W + up @ down. Source: LoRA, Eq. 3 (arXiv 2106.09685)."""

    pipe: RivalPipeline
    rank: int

    def params(self, key: jax.Array) -> Params:
        """`down` (in, rank) is random, `up` (rank, out) zero: nothing is changed yet."""
        kernels = {p: leaf for p, leaf in leaf_paths(self.pipe.unet.state).items() if _ATTENTION.fullmatch(p)}
        keys = jax.random.split(key, len(kernels))
        return {
            path: {
                "down": jax.random.normal(own, (leaf.shape[0], self.rank)) / leaf.shape[0] ** 0.5,
                "up": jnp.zeros((self.rank, leaf.shape[1])),
            }
            for own, (path, leaf) in zip(keys, kernels.items(), strict=True)
        }

    def networks(self, params: Params, unet: Network, text_encoder: Network) -> tuple[Network, Network]:
        leaves = leaf_paths(unet.state)
        changed = {
            path: leaves[path] + (factors["down"] @ factors["up"]).astype(leaves[path].dtype)
            for path, factors in params.items()
        }
        return replace(unet, state=with_leaves(unet.state, changed)), text_encoder

    def write(self, params: Params, folder: Path) -> Path:
        """In diffusers' layout, where rank and alpha are the same."""
        file, tensors = folder / "pytorch_lora_weights.safetensors", {}
        for path, factors in params.items():
            layer = f"unet.{path.removesuffix('.kernel')}"
            tensors[f"{layer}.lora_A.weight"] = _transposed(factors["down"])
            tensors[f"{layer}.lora_B.weight"] = _transposed(factors["up"])
        save_file(tensors, file)
        return file


@dataclass(frozen=True)
class DreamBooth:
    """All of the UNet. Source: DreamBooth, section 3 (arXiv 2208.12242)."""

    pipe: RivalPipeline

    def params(self, key: jax.Array) -> Params:
        return {path: leaf.astype(jnp.float32) for path, leaf in leaf_paths(self.pipe.unet.state).items()}

    def networks(self, params: Params, unet: Network, text_encoder: Network) -> tuple[Network, Network]:
        leaves: Mapping[str, jax.Array] = leaf_paths(unet.state)
        changed = {path: value.astype(leaves[path].dtype) for path, value in params.items()}
        return replace(unet, state=with_leaves(unet.state, changed)), text_encoder

    def write(self, params: Params, folder: Path) -> Path:
        """A whole model in the diffusers layout: the learnt UNet beside copies of the other parts."""
        model = folder / "model"
        model.mkdir(exist_ok=True)
        weights = shutil.ignore_patterns("*.safetensors*", "*.bin*", "*.msgpack", "*.md")
        for part in sorted(path for path in self.pipe.directory.iterdir() if path.name != "README.md"):
            target = model / part.name
            if part.is_dir():
                ignored = weights if part.name == UNET.folder else None
                shutil.copytree(part, target, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy(part, target)
        unet, _ = self.networks(params, self.pipe.unet, self.pipe.text_encoder)
        tensors = {key: tensor.astype(np.float32) for key, tensor in export(UNET.table, unet.state).items()}
        save_file(tensors, model / UNET.folder / f"{UNET.stem}.safetensors", metadata={"format": "pt"})
        return model


def _transposed(matrix: jax.Array) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(matrix, np.float32).T)
