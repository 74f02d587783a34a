"""Prompts to tokens: CLIP's layout, a warning for what is cut, and a sentence for what does not fit together."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from checkpoint import WORDS

from rival_jax import InputError
from rival_jax.models.clip_config import TextConfig
from rival_jax.text import Tokenizer
from rival_jax.training.vocabulary import write_tokenizer

CONFIG = TextConfig(600, 12, 20, 2, 2)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A tokenizer of the length of Stable Diffusion's."""
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(directory, WORDS)
    file = directory / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 77}))
    return directory


@pytest.fixture(scope="module")
def tokenizer(directory):
    return Tokenizer.from_pretrained(directory, CONFIG)


def test_layout(tokenizer):
    """Start, a token a word, end, then padding; case and spaces do not matter."""
    start, end = tokenizer.tokenizer.bos_token_id, tokenizer.tokenizer.eos_token_id
    ids = tokenizer(("a red house", "", "A  Red house "))
    assert ids.shape == (3, 77) and ids.dtype == np.int32
    assert (ids[:, 0] == start).all() and (ids[1, 1:] == end).all() and (ids[0, 4:] == end).all()
    assert len({start, end, *ids[0, 1:4].tolist()}) == 5
    assert (ids[0] == ids[2]).all()


def test_the_shorter_length_counts(directory):
    assert Tokenizer.from_pretrained(directory, CONFIG).length == 77
    assert Tokenizer.from_pretrained(directory, replace(CONFIG, max_position_embeddings=10)).length == 10


def test_a_prompt_that_just_fits_warns_of_nothing(tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids = tokenizer((" ".join(["red"] * 75),))
    assert (ids[0, 1:76] == ids[0, 1]).all() and ids[0, 76] == tokenizer.tokenizer.eos_token_id


def test_what_is_cut_is_said_once(tokenizer, capfd):
    prompt = " ".join(["red"] * 75 + ["house", "on", "grass"])
    message = re.escape("The prompt has 80 tokens, the model reads 77; cut off: 'house on grass'.")
    with pytest.warns(UserWarning, match=message) as caught:
        ids = tokenizer((prompt, prompt, "a car"))
    assert len(caught) == 1 and capfd.readouterr() == ("", "")
    assert (ids[0] == tokenizer((" ".join(["red"] * 75),))[0]).all()


def test_a_very_long_prompt_is_named_in_short(tokenizer):
    with pytest.warns(UserWarning, match="has 100002 tokens") as caught:
        tokenizer(("red " * 100_000,))
    assert len(str(caught[0].message)) < 700


@pytest.mark.parametrize("prompt", ["\0", "\n", "house 🏠 häuser", "<|endoftext|> <|startoftext|>", "[/red] {x} %s"])
def test_any_text_is_a_prompt(tokenizer, prompt):
    assert tokenizer((prompt,)).shape == (1, 77)


def test_a_tokenizer_of_another_model(directory):
    size = len(Tokenizer.from_pretrained(directory, CONFIG).tokenizer)
    small = Tokenizer.from_pretrained(directory, replace(CONFIG, vocab_size=size - 1))
    message = f"gives token {size - 1}, but the text encoder knows only {size - 1}: they are of different models"
    with pytest.raises(InputError, match=message):
        small(("a red house",))


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"a": "b"}'])
def test_a_broken_tokenizer(tmp_path, content):
    write_tokenizer(tmp_path / "tokenizer", WORDS)
    for name in ("vocab.json", "merges.txt"):
        if content is None:
            (tmp_path / "tokenizer" / name).unlink()
        else:
            (tmp_path / "tokenizer" / name).write_text(content)
    with pytest.raises(InputError, match="The tokenizer in .*tokenizer (cannot be read|has no words)"):
        Tokenizer.from_pretrained(tmp_path / "tokenizer", CONFIG)


def test_embedding(pipe):
    """Prompts to states, each for itself."""
    both = pipe.embed(("a red house", "a blue car"), (32, 32)).tokens
    assert both.shape == (2, 10, 12) and both.dtype == np.float32
    np.testing.assert_allclose(both[1:], pipe.embed(("a blue car",), (32, 32)).tokens, atol=1e-5)
    assert np.abs(both[0] - both[1]).max() > 0.1
