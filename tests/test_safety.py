"""The safety checker: what it flags, where there is none, and what becomes of its verdict."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint import Model, write_checker
from command import rival, save_photo
from flax.serialization import msgpack_serialize
from flax.traverse_util import unflatten_dict

from rival_jax import InputError, RivalPipeline
from rival_jax.safety import SafetyChecker
from rival_jax.weights.rules import leaf_paths

SHORT = {"num_variations": 2, "num_inference_steps": 4}
NEVER, ALWAYS = np.full(17, 2, np.float32), np.full(17, -2, np.float32)


@pytest.fixture
def directory(tmp_path):
    """A directory for a checker alone."""
    (tmp_path / "model_index.json").write_text("{}")
    return tmp_path


@pytest.fixture
def pictures():
    """Three of noise, uint8 (3, 16, 16, 3)."""
    return np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), np.uint8)


def embeddings(directory, pictures):
    checker = SafetyChecker.from_pretrained(directory)
    return np.asarray(checker.network.module().embed_images(jnp.asarray(checker.normalisation(pictures, 8))))


def at(place, value, elsewhere):
    """An array like `elsewhere` with one other entry."""
    changed = elsewhere.copy()
    changed[place] = value
    return changed


def test_a_picture_that_is_a_concept_is_flagged(directory, pictures):
    concepts = write_checker(directory)["concept_embeds"]
    concepts = at(5, 3 * embeddings(directory, pictures)[1], concepts)  # of any length
    write_checker(directory, concept_embeds=concepts, concept_embeds_weights=at(5, 0.999, NEVER))
    flagged, scores = SafetyChecker.from_pretrained(directory)(pictures)
    assert flagged.tolist() == [False, True, False]
    assert (flagged.dtype, scores.dtype, scores.shape) == (bool, np.float32, (3,))
    assert scores[1] == np.float32(0.001) and max(scores[[0, 2]]) < 0


def test_special_care_is_stricter(directory, pictures):
    """A score of -0.005 becomes 0.005, of that picture alone."""
    tensors = write_checker(directory)
    own = embeddings(directory, pictures)[1]
    changes = {"concept_embeds": at(3, own, tensors["concept_embeds"]), "concept_embeds_weights": at(3, 1.005, NEVER)}
    write_checker(directory, **changes)
    plain = SafetyChecker.from_pretrained(directory)(pictures)[1]
    changes |= {"special_care_embeds": at(2, own, tensors["special_care_embeds"])}
    write_checker(directory, **changes, special_care_embeds_weights=at(2, 0.99, NEVER[:3]))
    flagged, scores = SafetyChecker.from_pretrained(directory)(pictures)
    assert flagged.tolist() == [False, True, False]
    np.testing.assert_allclose(scores - plain, [0, 0.01, 0], atol=1e-7)


def test_any_number_of_pictures(directory):
    """Batches are filled up; a picture's score does not depend on its neighbours."""
    write_checker(directory)
    pictures = np.random.default_rng(0).integers(0, 256, (11, 16, 20, 3), np.uint8)
    checker = SafetyChecker.from_pretrained(directory)
    scores = checker(pictures)[1]
    assert scores.shape == (11,) and len(set(scores.tolist())) > 3
    np.testing.assert_array_equal(scores[9:], checker(pictures[9:])[1])


def test_every_published_layout(directory, pictures):
    tensors = write_checker(directory)
    file = directory / "safety_checker/model.safetensors"
    checker = SafetyChecker.from_pretrained(directory)
    expected, leaves = checker(pictures)[1], leaf_paths(checker.network.state)
    file.rename(file.with_name("model.fp16.safetensors"))  # all numbers are float16's
    np.testing.assert_array_equal(SafetyChecker.from_pretrained(directory)(pictures)[1], expected)
    ids = {"vision_model.vision_model.embeddings.position_ids": np.arange(5)[None]}
    write_checker(directory, **ids)
    np.testing.assert_array_equal(SafetyChecker.from_pretrained(directory)(pictures)[1], expected)
    for written in directory.glob("safety_checker/*.safetensors"):
        written.unlink()
    concepts = {name: tensor for name, tensor in tensors.items() if "embeds" in name}
    network = {f"vision_model.{path}" if "vision" in path else path: leaf for path, leaf in leaves.items()}
    flax = {path: np.asarray(leaf) for path, leaf in network.items() if "concept." not in path and "care." not in path}
    tree = unflatten_dict({tuple(path.split(".")): leaf for path, leaf in (flax | concepts).items()})
    (directory / "safety_checker/flax_model.msgpack").write_bytes(msgpack_serialize(tree))
    np.testing.assert_array_equal(SafetyChecker.from_pretrained(directory)(pictures)[1], expected)


def test_a_model_without_one(directory, checkpoint, pipe):
    assert SafetyChecker.from_pretrained(checkpoint) is None and pipe.safety_checker is None
    write_checker(directory)
    assert SafetyChecker.from_pretrained(directory)
    (directory / "model_index.json").write_text(json.dumps({"safety_checker": [None, None]}))
    assert SafetyChecker.from_pretrained(directory) is None


def _cut(directory):
    file = directory / "safety_checker/model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def _write(name, text):
    return lambda directory: (directory / name).write_text(text)


@pytest.mark.parametrize(
    "damage, message",
    [
        (_cut, "safety_checker/model.safetensors is cut short"),
        (lambda directory: (directory / "safety_checker/model.safetensors").unlink(), "safety_checker has no weights"),
        (lambda directory: write_checker(directory, concept_embeds=NEVER), "no place for: concept_embeds"),
        (lambda directory: (directory / "safety_checker/config.json").unlink(), "config.json is missing"),
        (_write("safety_checker/config.json", '{"vision_config": {"image_size": 9}}'), "patch_size = 32 does not"),
        (_write("feature_extractor/preprocessor_config.json", '{"image_mean": 1}'), "must be three numbers"),
        (_write("model_index.json", "{"), "model_index.json is corrupt"),
    ],
)
def test_a_damaged_one(directory, damage, message):
    write_checker(directory)
    damage(directory)
    with pytest.raises(InputError, match=message):
        SafetyChecker.from_pretrained(directory)


@pytest.fixture
def guarded(tmp_path):
    """The tests' model with a checker that flags everything."""
    (tmp_path / "model").mkdir()
    Model(tmp_path / "model")
    write_checker(tmp_path / "model", concept_embeds_weights=ALWAYS)
    return tmp_path / "model"


def test_variations_are_judged_and_left_alone(guarded, pipe, photos):
    ours = RivalPipeline.from_pretrained(guarded, "float32", weights=False)
    ours = ours.load()
    assert "network" not in vars(ours.safety_checker), "weights are read when they are needed"
    out, expected = (each.vary(photos, "a car", **SHORT, seed=[1, 2]) for each in (ours, pipe))
    assert out.nsfw.shape == out.nsfw_scores.shape == (2, 2) and out.nsfw.all() and out.nsfw_scores.min() > 0
    assert out.nsfw_scores[1, 0] == ours.safety_checker(out.images[1])[1][0]
    assert expected.nsfw is None and expected.nsfw_scores is None
    np.testing.assert_array_equal(out.images, expected.images)


def test_the_command_records_and_warns(guarded, tmp_path):
    photos = save_photo(tmp_path / "a.png"), save_photo(tmp_path / "b.png", 1)
    flags = ("--prompt", "a car", "-n", 2, "--num-inference-steps", 4, "--dtype", "float32", "--out", tmp_path / "out")
    result = rival("vary", *photos, *flags, "--model", guarded)
    assert result.code == 0 and json.loads((tmp_path / "out/run.json").read_text())["nsfw"] == [[True, True]] * 2
    [line] = [line for line in result.err.splitlines() if line.startswith("warning")]
    names = ", ".join(f"variation-000{n}.png" for n in (1, 2, 3, 4))
    assert line.endswith(f"safety checker finds not safe for work: {names}.")
    (guarded / "model_index.json").write_text(json.dumps({"safety_checker": [None, None]}))
    result = rival("vary", *photos, *flags, "--model", guarded)
    assert result.code == 0 and "warning" not in result.err
    assert json.loads((tmp_path / "out/run-0002.json").read_text())["nsfw"] == "not checked"


def test_info_says_whether_there_is_one(guarded):
    assert "safety        checker of 0.0 M parameters" in rival("info", guarded).out
    assert "safety        no checker: variations are not checked" in rival("info", "tiny").out


def test_in_a_damaged_checkpoint_nothing_is_loaded(guarded, tmp_path, monkeypatch):
    _cut(guarded)
    monkeypatch.setattr(jax, "device_put", lambda *_, **__: pytest.fail("weights were read"))
    result = rival("vary", save_photo(tmp_path / "a.png"), "--prompt", "a car", "--model", guarded)
    assert result.code == 2 and "is cut short" in result.err


def test_distance_of_pictures(directory, pictures, pipe):
    """1 less the cosine of what its CLIP sees; and what `interpolate` measures with where a model has a checker."""
    write_checker(directory)
    checker, found = SafetyChecker.from_pretrained(directory), embeddings(directory, pictures)
    apart = checker.distance(pictures[[0, 0]], pictures[[0, 1]])
    np.testing.assert_allclose(apart, [0, 1 - found[0] @ found[1]], rtol=0, atol=1e-6)
    assert replace(pipe, safety_checker=checker).distance == checker.distance != pipe.distance
