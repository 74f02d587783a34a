"""Concepts learnt on a random model: what is written, that it loads, what is refused."""

import json

import jax
import numpy as np
import pytest
from command import rival, save_photo

from rival_jax import InputError, RivalPipeline, learn_concept
from rival_jax.learning.methods import LoRA, TextualInversion
from rival_jax.weights.rules import leaf_paths

FEW = {"num_steps": 6, "batch_size": 2, "learning_rate": 0.05}


def same(network, other):
    return {
        path: np.array_equal(leaf, leaf_paths(other.state)[path]) for path, leaf in leaf_paths(network.state).items()
    }


def curve(folder):
    """The losses reported."""
    return [float(line.split(",")[1]) for line in (folder / "training/loss.csv").read_text().splitlines()]


def test_textual_inversion(pipe, photos, tmp_path):
    file = learn_concept(pipe, photos, tmp_path, token="<sks>", initializer_token="car", num_vectors=2, **FEW)
    assert file == tmp_path / "learned_embeds.safetensors"
    learnt = pipe.load_textual_inversion(file)
    start = TextualInversion.of(pipe, "<sks>", "car", 2).vectors
    table = leaf_paths(learnt.text_encoder.state)["embeddings.token_embedding.embedding"]
    moved = np.abs(np.asarray(table[len(pipe.tokenizer.tokenizer) :][:2]) - start)
    assert (moved.max(axis=1) > 0.01).all() and np.abs(table[-1] - table[-2]).max() > 1e-3
    assert all(same(pipe.unet, learnt.unet).values())
    assert len(curve(tmp_path)) == 1
    rest = np.asarray(leaf_paths(pipe.text_encoder.state)["embeddings.token_embedding.embedding"])
    np.testing.assert_array_equal(table[: len(pipe.tokenizer.tokenizer)], rest[: len(pipe.tokenizer.tokenizer)])


@pytest.mark.slow
def test_lora(pipe, photos, tmp_path):
    """What is loaded from the file is what was trained."""
    file = learn_concept(pipe, photos, tmp_path, method="lora", rank=3, **FEW)
    learnt = pipe.load_lora_weights(file)
    changed = {path for path, equal in same(pipe.unet, learnt.unet).items() if not equal}
    kernels = LoRA(pipe, 3).params(jax.random.key(0))
    assert changed == set(kernels) and all(".attn" in path for path in changed)
    assert all(same(pipe.text_encoder, learnt.text_encoder).values())


@pytest.mark.slow
def test_dreambooth(pipe, photos, tmp_path):
    """With prior preservation; the other parts are copies."""
    few = FEW | {"learning_rate": 1e-3}
    model = learn_concept(pipe, photos, tmp_path, method="dreambooth", class_prompt="a car", num_class_images=2, **few)
    learnt = RivalPipeline.from_pretrained(model, "float32")
    assert not any(same(pipe.unet, learnt.unet).values())
    assert all(same(pipe.vae, learnt.vae).values()) and all(same(pipe.text_encoder, learnt.text_encoder).values())
    assert learnt.schedule == pipe.schedule


@pytest.mark.slow
def test_learning_lowers_the_loss(pipe, photos, tmp_path):
    """Of one photo, which is soon known by heart."""
    learn_concept(pipe, photos[:1], tmp_path, method="lora", rank=8, num_steps=200, batch_size=4, learning_rate=0.01)
    losses = curve(tmp_path)
    assert len(losses) == 4 and losses == sorted(losses, reverse=True) and losses[-1] < 0.9 * losses[0]


def test_the_same_again_goes_on_and_another_concept_is_refused(pipe, photos, tmp_path):
    first = learn_concept(pipe, photos, tmp_path, method="lora", **FEW).read_bytes()
    seen = []
    again = learn_concept(pipe, photos, tmp_path, method="lora", **FEW, progress=lambda *said: seen.append(said))
    assert again.read_bytes() == first and not seen  # nothing is left to be learnt
    with pytest.raises(InputError, match="is of a concept whose rank is 4, not 8; give another folder"):
        learn_concept(pipe, photos, tmp_path, method="lora", rank=8, **FEW)
    assert json.loads((tmp_path / "concept.json").read_text())["rank"] == 4


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"token": "two words"}, "token is 'two words', but must be one word"),
        ({"method": "hypernetwork"}, "method is 'hypernetwork'; accepted: 'textual-inversion', 'lora', 'dreambooth'"),
        ({"class_prompt": "a car"}, "class_prompt is for lora and dreambooth only"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, but must be above 0"),
        ({"num_steps": 0}, "num_steps is 0, but must be a whole number"),
        ({"rank": 0, "method": "lora"}, "rank is 0, but must be"),
        ({"initializer_token": ""}, "initializer_token is '', but must be a word"),
    ],
)
def test_bad_settings(pipe, photos, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        learn_concept(pipe, photos, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_on_the_command_line(pipe, monkeypatch, tmp_path):
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)
    photo = save_photo(tmp_path / "a.png")
    result = rival("learn-concept", photo, "--token", "<cat>", "--num-steps", 2, "--out", tmp_path / "cat")
    assert result.code == 0, result.err
    assert "cat/learned_embeds.safetensors holds the concept; use it with --textual-inversion" in result.err
    missing = rival("learn-concept", "--token", "<cat>")
    assert missing.code == 2 and "photos is missing: name three to ten photos" in missing.err
