"""Captioners of one's own, and BLIP from a folder."""

import sys
import types

import pytest
from PIL import Image
from transformers import BertTokenizerFast

from rival_jax.errors import InputError
from rival_jax.jobs.inputs.captions import captioner

IMAGES = [Image.new("RGB", (20, 30), "red"), Image.new("RGB", (30, 20), "blue")]


@pytest.fixture
def plug(monkeypatch):
    """Makes a function importable as plugged:say."""

    def add(function):
        module = types.ModuleType("plugged")
        module.say = function  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setitem(sys.modules, "plugged", module)

    return add


def test_function_of_ones_own(plug):
    plug(lambda images: (f"{image.width} wide" for image in images))
    assert captioner("plugged:say")(IMAGES) == ["20 wide", "30 wide"]


@pytest.mark.parametrize("made", [["one"], ["one", 2], []])
def test_function_that_gives_something_else(plug, made):
    plug(lambda images: made)
    with pytest.raises(InputError, match="'plugged:say' must give one text for each of 2 pictures"):
        captioner("plugged:say")(IMAGES)


@pytest.mark.parametrize(
    "name, message",
    [
        ("clip", "'clip' is unknown; accepted are"),
        (":say", "is unknown"),
        ("nowhere.at.all:say", r"cannot be imported \(No module named 'nowhere'\)"),
        ("json:nothing", "cannot be imported .*nothing"),
        ("sys:argv", "is no function"),
    ],
)
def test_unusable_names(name, message):
    with pytest.raises(InputError, match=message):
        captioner(name)


def test_blip_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"needs torch .* pip install 'rival-jax\[caption\]'"):
        captioner("blip")


def test_blip_folder(tmp_path):
    """A tiny random one: it says something of each picture, whatever."""
    pytest.importorskip("torch")
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    with pytest.raises(InputError, match="cannot be loaded"):
        captioner(f"blip:{tmp_path}")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "red", "blue"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    layer = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    config = BlipConfig(
        text_config=layer | ids | {"vocab_size": 8, "encoder_hidden_size": 16},
        vision_config=layer | {"image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    BlipForConditionalGeneration(config).save_pretrained(tmp_path)
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(tmp_path)
    said = captioner(f"blip:{tmp_path}")(IMAGES)
    assert len(said) == 2 and all(set(text.split()) <= set(words) for text in said)
