"""The world's tokenizer: a CLIP-style byte-pair encoding in which each of the world's words is one token."""

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel

from rival_jax.training import world

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 24
"""Tokens of a caption, start and end included; the longest of the world takes them all."""


def _world_words() -> tuple[str, ...]:
    tables = (world.SIZE_WORDS, world.GROUND_WORDS, world.SKY_WORDS, world.PATTERN_WORDS, world.OPENINGS)
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    phrases += [*world.SUN_WORDS.values(), *world.POSITION_WORDS.values(), *world.OBJECTS, *world.COLOURS]
    phrases += [*world.PLURALS.values(), *world.COUNT_WORDS.values(), "a", "an", "on", "in front of"]
    return tuple(sorted(set(re.findall("[a-z]+", " ".join(phrases)))))


WORDS = _world_words()
"""Every word a caption of the world can hold."""


def _encode(word: str, merges: dict[tuple[str, str], int]) -> list[str]:
    """`word` split as byte-pair encoding does: the earliest merge first, wherever it applies."""
    pieces = [*word[:-1], f"{word[-1]}</w>"]
    while True:
        known = [pair for pair in pairwise(pieces) if pair in merges]
        if not known:
            return pieces
        first = min(known, key=merges.__getitem__)
        merged: list[str] = []
        for piece in pieces:
            if merged and (merged[-1], piece) == first:
                merged[-1] += piece
            else:
                merged.append(piece)
        pieces = merged


def merges_for(words: Iterable[str]) -> list[tuple[str, str]]:
    """Merges, in order, that join each of `words` (lower case, ASCII letters) to one token.

    A new merge goes to the end, so it applies only where the earlier ones no longer do: words already joined stay so.
    """
    merges: dict[tuple[str, str], int] = {}
    for word in words:
        while len(pieces := _encode(word, merges)) > 1:
            merges[pieces[0], pieces[1]] = len(merges)
    return list(merges)


def write_tokenizer(directory: Path | str, words: Iterable[str] = WORDS, length: int = MAX_LENGTH) -> None:
    """Write vocab.json, merges.txt and the tokenizer's configuration, as in a Stable Diffusion 1.x checkpoint.

    A prompt has `length` tokens, start and end included.

    Tokens: the 256 bytes, the same ending a word, the merges, start and end; so that any text can be encoded.
    """
    bytes_ = sorted(ByteLevel.alphabet())
    merges = merges_for(words)
    tokens = [*bytes_, *(f"{byte}</w>" for byte in bytes_), *("".join(pair) for pair in merges), START, END]
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": length,
        "do_lower_case": True,
        "add_prefix_space": False,
        "errors": "replace",
        **special,
    }
    vocabulary = {token: number for number, token in enumerate(tokens)}
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (("vocab", vocabulary), ("tokenizer_config", config), ("special_tokens_map", special)):
        text = json.dumps(content, ensure_ascii=False, indent=None if name == "vocab" else 2)
        (directory / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
