"""Prompts to tokens, by the checkpoint's own tokenizer, and tokens to embeddings."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import jax
import numpy as np

from rival_jax.errors import InputError
from rival_jax.models.clip_config import TextConfig
from rival_jax.models.network import Network
from rival_jax.shapes import TextEmbedding, TokenIds


def read_tokenizer(directory: Path) -> Any:
    """The `CLIPTokenizer` of transformers in a directory; raises whatever that raises."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it would complain that torch is not installed
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(directory, local_files_only=True)


@dataclass(frozen=True)
class Tokenizer:
    """A checkpoint's CLIP tokenizer and the number of tokens its text encoder reads."""

    tokenizer: Any
    length: int
    vocab_size: int

    @classmethod
    def from_pretrained(cls, directory: Path, config: TextConfig) -> Tokenizer:
        """Reads `tokenizer/`. Raises InputError where it cannot be read."""
        try:
            tokenizer = read_tokenizer(directory)
        except Exception as error:  # noqa: BLE001 (what a broken tokenizer raises depends on the file)
            raise InputError(f"The tokenizer in {directory} cannot be read ({type(error).__name__}).") from error
        if len(tokenizer) <= len(tokenizer.all_special_ids):
            raise InputError(f"The tokenizer in {directory} has no words: it lacks vocab.json and merges.txt.")
        length = min(tokenizer.model_max_length, config.max_position_embeddings)
        return cls(tokenizer, length, config.vocab_size)

    def __call__(self, prompts: tuple[str, ...]) -> np.ndarray:
        """Token ids (b, length), int32. Warns of a prompt that is too long and says what was cut."""
        for prompt in dict.fromkeys(prompts):
            ids = self.tokenizer(prompt, verbose=False)["input_ids"]
            if len(ids) > self.length:
                cut = shorten(self.tokenizer.decode(ids[self.length - 1 : -1]), 500)
                message = f"The prompt has {len(ids)} tokens, the model reads {self.length}; cut off: {cut!r}."
                warnings.warn(message, stacklevel=2)
        options = {"padding": "max_length", "truncation": True, "max_length": self.length}
        ids = np.asarray(self.tokenizer(list(prompts), **options)["input_ids"], np.int32)
        if ids.max() >= self.vocab_size:
            raise InputError(
                f"The tokenizer gives token {ids.max()}, but the text encoder knows only {self.vocab_size}: "
                "they are of different models."
            )
        return ids


@jax.jit
def embed(text_encoder: Network, ids_bm: TokenIds) -> TextEmbedding:
    """Last hidden states (b, m, d) of token ids."""
    return text_encoder.module()(ids_bm)
