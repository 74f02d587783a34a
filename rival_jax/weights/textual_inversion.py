"""Textual inversion: vectors that were learnt for a new token, added to a text encoder's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from rival_jax.errors import InputError
from rival_jax.models.network import Network
from rival_jax.weights.headers import index
from rival_jax.weights.stored import Stored

_ACCEPTED = "accepted: diffusers' {token: vectors}, or AUTOMATIC1111's string_to_param or emb_params"
_OF_TWO = ("clip_l", "clip_g")
"""The names of the vectors for SDXL's first and second text encoder; the token is the file's stem."""


def read(file: Path, widths: Sequence[int]) -> tuple[str, list[np.ndarray]]:
    """A file's token and its vectors (n, width), float32, for each of a model's text encoders.

    AUTOMATIC1111's token is the file's stem, as it is there. Raises InputError that names the file and what is wrong.
    """
    tensors = index(file)
    if len(widths) > 1:
        lacking = [name for name in _OF_TWO if name not in tensors]
        if lacking or len(tensors) > len(_OF_TWO):
            raise InputError(
                f"The textual inversion {file} holds {', '.join(list(tensors)[:3]) or 'nothing'}; accepted for a model "
                f"with two text encoders: {' and '.join(_OF_TWO)}."
            )
        found = [_vectors(file, tensors[name], width) for name, width in zip(_OF_TWO, widths, strict=True)]
        if len({len(vectors) for vectors in found}) > 1:
            raise InputError(f"The textual inversion {file} holds {len(found[0])} and {len(found[1])} vectors, but "
                             "must hold as many for either text encoder.")  # fmt: skip
        return file.stem, found
    nested = [key for key in tensors if key.startswith("string_to_param.")]
    keys = nested or list(tensors)
    if len(keys) != 1:
        held = f"{len(keys)} tensors ({', '.join(keys[:3])})" if keys else "nothing"
        raise InputError(f"The textual inversion {file} holds {held}, but must hold one; {_ACCEPTED}.")
    token = file.stem if nested or keys == ["emb_params"] else keys[0]
    return token, [_vectors(file, tensors[keys[0]], width) for width in widths]


def _vectors(file: Path, stored: Stored, width: int) -> np.ndarray:
    if len(stored.shape) not in (1, 2) or stored.shape[-1] != width or not all(stored.shape):
        raise InputError(
            f"The textual inversion {file} holds vectors of shape {list(stored.shape)}, but this model's have width "
            f"{width}: it is of another model."
        )
    return stored.read().astype(np.float32).reshape(-1, width)


def with_vectors(text_encoder: Network, first: int, vectors: np.ndarray) -> Network:
    """The text encoder with these vectors (n, d) for the tokens from number `first` on; its table grows as needed.

    Rows of the table that no token of the tokenizer has are in some checkpoints; they are written over.
    """
    module = text_encoder.module()
    embedding = module.embeddings.token_embedding
    table = embedding.embedding[...]
    rows = np.asarray(table)
    rows = np.concatenate([rows[:first], vectors.astype(rows.dtype), rows[first + len(vectors) :]])
    embedding.embedding = nnx.Param(jax.device_put(rows, table.sharding))
    embedding.num_embeddings = len(rows)
    module.config = replace(text_encoder.config, vocab_size=len(rows))
    return Network(*nnx.split(module), module.config)
