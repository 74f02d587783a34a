"""The drawn world: reproducible, true to its captions, and wholly within the tokenizer's vocabulary."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPTokenizer

from rival_jax.training import vocabulary, world
from rival_jax.training.colours import COLOURS
from rival_jax.training.objects import OBJECTS

SAMPLES = Path(world.__file__).parent.parent / "assets" / "samples"


@pytest.fixture(scope="module")
def captions() -> list[str]:
    return [world.example(0, index)[1] for index in range(4000)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    directory = tmp_path_factory.mktemp("tokenizer")
    vocabulary.write_tokenizer(directory)
    return CLIPTokenizer.from_pretrained(directory)


def test_every_size_shows_the_same_composition() -> None:
    scene = world.example(0, 2)[0]
    small, large = world.draw(scene, 48), world.draw(scene, 192)
    assert small.size == (48, 48) and large.size == (192, 192)
    reduced = np.asarray(large.resize((48, 48), Image.Resampling.BOX), float)
    assert np.abs(reduced - np.asarray(small, float)).mean() < 4


@pytest.mark.parametrize("style", world.STYLES)
@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_has_the_colour_it_is_named_by(name: str, style: str) -> None:
    palette = np.array(list(COLOURS.values()), float)
    for colour in COLOURS:
        scene = world.Scene(name, colour, "large", "middle", style, pattern="plain", backdrop="gray", seed=1)
        contrast = dataclasses.replace(scene, colour="red" if colour == "green" else "green")
        pixels, others = (np.asarray(world.draw(each), float) for each in (scene, contrast))
        median = np.median(pixels[np.abs(pixels - others).sum(-1) > 60], axis=0)
        assert list(COLOURS)[np.square(palette - median).sum(-1).argmin()] == colour


def test_captions_name_what_is_drawn(captions: list[str]) -> None:
    scenes = [world.example(0, index)[0] for index in range(len(captions))]
    for scene, text in zip(scenes, captions, strict=True):
        name = scene.object if scene.count == 1 else world.PLURALS[scene.object]
        words = text.replace(",", "").split()
        assert name in words and ("two" in words, "three" in words) == (scene.count == 2, scene.count == 3)
    named = [scene.colour in text for scene, text in zip(scenes, captions, strict=True)]
    assert 0.75 < np.mean(named) < 0.87
    assert 0.27 < np.mean([scene.grade is not None for scene in scenes]) < 0.33


def test_captions_use_exactly_the_vocabulary(captions: list[str]) -> None:
    assert set(re.findall("[a-z]+", " ".join(captions))) == set(vocabulary.WORDS)


@pytest.mark.parametrize("kind", world.ODD_GRADES)
def test_odd_grades_lie_far_off(kind: str) -> None:
    image = world.draw(world.Scene("house", "red", "large", "middle", "photo", ground="grass", sky="day", seed=1))
    graded = world.grade_odd(image, kind)
    assert graded.size == image.size and graded.mode == "RGB"
    assert np.abs(np.asarray(graded, float) - np.asarray(image, float)).mean() > 40


def test_a_word_is_a_token(tokenizer: CLIPTokenizer) -> None:
    for word in vocabulary.WORDS:
        assert tokenizer.tokenize(word) == [f"{word}</w>"]


def test_no_caption_is_cut(tokenizer: CLIPTokenizer, captions: list[str]) -> None:
    assert tokenizer.model_max_length == vocabulary.MAX_LENGTH
    longest = "a photo of a small black butterfly on the left on a sand beach under a dark night sky with the moon"
    assert max(map(len, tokenizer([*captions, longest]).input_ids)) <= vocabulary.MAX_LENGTH


@pytest.mark.parametrize("text", ["a red house on green grass", "zebra", "día ☃ 7%", "日本"])
def test_any_text_is_encoded(tokenizer: CLIPTokenizer, text: str) -> None:
    ids = tokenizer(text).input_ids
    assert ids[0] == len(tokenizer) - 2 and ids[-1] == tokenizer.pad_token_id == len(tokenizer) - 1
    assert tokenizer.unk_token_id not in ids[1:-1]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_merges_survive_words_that_share_letters() -> None:
    words = ["at", "boat", "oat", "tab", "table", "able", "aaaa", "aaa"]
    order = {pair: rank for rank, pair in enumerate(vocabulary.merges_for(words))}
    assert all(vocabulary._encode(word, order) == [f"{word}</w>"] for word in words)


def test_samples_are_square_and_captioned() -> None:
    captions = json.loads((SAMPLES / "captions.json").read_text(encoding="utf-8"))
    assert set(captions) == {path.name for path in SAMPLES.glob("*.png")}
    assert len(captions) >= 10
    for name, text in captions.items():
        assert Image.open(SAMPLES / name).size == (192, 192)
        assert set(text.split()) <= set(vocabulary.WORDS)


@pytest.mark.parametrize("count", [2, 3])
def test_things_of_a_group_stand_apart(count: int) -> None:
    """Seen from the side, columns with and without a thing take turns."""
    for seed, name in enumerate(("ball", "heart", "tree")):
        scene = world.Scene(
            name, "red", "middling", "middle", "drawing", pattern="plain", backdrop="white", count=count
        )
        pixels = np.asarray(world.draw(dataclasses.replace(scene, seed=seed)), float)
        red = (pixels[..., 0] - pixels[..., 1] > 60).any(axis=0).astype(int)
        assert np.clip(np.diff(red, prepend=0, append=0), 0, 1).sum() == count
