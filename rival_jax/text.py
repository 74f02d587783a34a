"""Prompts to tokens, by the checkpoint's own tokenizer, and tokens to embeddings."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from rival_jax.errors import InputError
from rival_jax.models.clip_config import TextConfig


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
    concepts: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Tokens that were added: what a prompt has, and all that it stands for, itself first."""

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

    def with_token(self, token: str, vectors: int) -> Tokenizer:
        """A copy that knows one token more, for so many vectors: as in diffusers `token`, `token_1`, `token_2` ...

        Raises InputError for a token that is known already, or is none.
        """
        names = [token, *(f"{token}_{number}" for number in range(1, vectors))]
        known = {name.lower() for name in self.tokenizer.get_vocab()}
        taken = [name for name in (*names, f"{token}_1") if name.lower() in known]
        if taken or not token.strip():
            what = f"{taken[0]!r} is a token of the model already" if taken else f"{token!r} is no token"
            raise InputError(f"{what}; accepted: a word of its own, such as '<my-cat>'.")
        first = len(self.tokenizer)
        if first > self.vocab_size:
            raise InputError(self._mismatch(first - 1))
        tokenizer = copy.deepcopy(self.tokenizer)
        tokenizer.add_tokens(names)
        ids = tuple(range(first, first + vectors))
        vocab_size = max(self.vocab_size, first + vectors)
        return replace(self, tokenizer=tokenizer, vocab_size=vocab_size, concepts={**self.concepts, first: ids})

    @property
    def end(self) -> int:
        """The token after a prompt's last."""
        return self.tokenizer.eos_token_id

    def unused(self, prompts: tuple[str, ...]) -> list[str]:
        """The added tokens that none of the prompts has."""
        read = {number for prompt in prompts for number in self.tokenizer(prompt, verbose=False)["input_ids"]}
        return [self.tokenizer.convert_ids_to_tokens(first) for first in self.concepts if first not in read]

    def __call__(self, prompts: tuple[str, ...]) -> np.ndarray:
        """Token ids (b, length), int32. Warns of a prompt that is too long and says what was cut."""
        rows = {prompt: self._row(prompt) for prompt in dict.fromkeys(prompts)}
        ids = np.asarray([rows[prompt] for prompt in prompts], np.int32)
        if ids.max() >= self.vocab_size:
            raise InputError(self._mismatch(int(ids.max())))
        return ids

    def _mismatch(self, token: int) -> str:
        return (
            f"The tokenizer gives token {token}, but the text encoder knows only {self.vocab_size}: "
            "they are of different models."
        )

    def _row(self, prompt: str) -> list[int]:
        """The ids of one prompt: start, its tokens as far as they fit, end, padding."""
        read = self.tokenizer(prompt, verbose=False)["input_ids"]
        ids = [number for token in read for number in self.concepts.get(token, (token,))]
        if len(ids) > self.length:
            cut = shorten(self.tokenizer.decode(ids[self.length - 1 : -1]), 500)
            message = f"The prompt has {len(ids)} tokens, the model reads {self.length}; cut off: {cut!r}."
            warnings.warn(message, stacklevel=3)
            ids = [*ids[: self.length - 1], ids[-1]]
        return ids + [self.tokenizer.pad_token_id] * (self.length - len(ids))
