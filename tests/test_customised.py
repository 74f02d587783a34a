"""Learnt concepts: textual inversions in the Python API, and both kinds in the command and its record."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from command import rival, save_photo
from PIL import Image
from safetensors.numpy import save_file

from rival_jax import InputError, RivalPipeline
from rival_jax import run as run_module
from rival_jax.weights.rules import leaf_paths

WIDTH = 12
"""Of the tests' model."""


def vectors(count, seed=0, width=WIDTH):
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def write(file, tensors):
    save_file(tensors, file)
    return file


def table(pipe):
    return np.asarray(leaf_paths(pipe.text_encoder.state)["embeddings.token_embedding.embedding"])


def told(pipe, *prompts):
    return pipe.embed(prompts, (32, 32)).tokens


def middle(pipe, *prompts):
    """The ids of prompts without start, end and padding."""
    start, end = pipe.tokenizer.tokenizer.bos_token_id, pipe.tokenizer.tokenizer.eos_token_id
    return [[int(number) for number in row if number not in (start, end)] for row in pipe.tokenizer(prompts)]


def test_one_vector(pipe, tmp_path):
    """A row of the table, a number of the tokenizer; the pipeline that it was made from knows nothing of it."""
    known, rows = len(pipe.tokenizer.tokenizer), table(pipe).copy()
    learnt = pipe.load_textual_inversion(write(tmp_path / "learned_embeds.safetensors", {"<cat>": vectors(1)[0]}))
    assert middle(learnt, "a <cat>house", "a <CAT> house", "a house") == [
        [a := middle(pipe, "a")[0][0], known, house := middle(pipe, "house")[0][0]],
        [a, known, house],
        [a, house],
    ]
    assert (table(learnt)[known] == vectors(1)[0]).all() and (table(learnt)[:known] == rows[:known]).all()
    assert len(pipe.tokenizer.tokenizer) == known and known not in middle(pipe, "a <cat> house")[0]
    assert (table(pipe) == rows).all() and learnt.unet is pipe.unet
    np.testing.assert_array_equal(told(learnt, "a red house"), told(pipe, "a red house"))
    assert np.abs(told(learnt, "a <cat>") - told(learnt, "a house")).max() > 0.1


def test_the_table_grows(pipe, tmp_path):
    """Where the tokenizer has as many tokens as the table rows, and by as many as are needed."""
    known = len(pipe.tokenizer.tokenizer)
    spare = len(table(pipe)) - known
    assert spare > 1
    learnt = pipe.load_textual_inversion(write(tmp_path / "a.safetensors", {"<cat>": vectors(2)}))
    assert table(learnt).shape == table(pipe).shape
    assert (table(learnt)[known + 2 :] == table(pipe)[known + 2 :]).all()
    grown = learnt.load_textual_inversion(
        write(tmp_path / "b.safetensors", {"<dog>": vectors(spare + 1, 1)}), "<hound>"
    )
    assert table(grown).shape == (known + spare + 3, WIDTH)
    assert grown.text_encoder.config.vocab_size == grown.tokenizer.vocab_size == known + spare + 3
    assert (table(grown)[known : known + 2] == vectors(2)).all() and (
        table(grown)[known + 2 :] == vectors(spare + 1, 1)
    ).all()
    with pytest.warns(UserWarning, match=f"The prompt has {spare + 3} tokens, the model reads 10"):
        ids = grown.tokenizer(("<hound>",))
    assert ids[0, 1:-1].tolist() == [*range(known + 2, known + 10)]


def test_several_vectors(pipe, tmp_path):
    """The token stands for all of them, wherever and as often as it is in a prompt; each has a word too."""
    learnt = pipe.load_textual_inversion(write(tmp_path / "a.safetensors", {"<cat>": vectors(3)}))
    first, a = len(pipe.tokenizer.tokenizer), middle(pipe, "a")[0]
    three = [first, first + 1, first + 2]
    assert middle(learnt, "<cat> a<cat>", "a <cat>_2 a") == [[*three, *a, *three], [*a, first + 2, *a]]
    assert learnt.tokenizer.unused(("a", "<cat>_1")) == ["<cat>"] and learnt.tokenizer.unused(("a", "A <Cat>")) == []


@pytest.mark.parametrize("key", ["emb_params", "string_to_param.*"])
def test_files_without_a_token(pipe, tmp_path, key):
    """AUTOMATIC1111's: the file's stem, as it is there."""
    learnt = pipe.load_textual_inversion(write(tmp_path / "my-cat.safetensors", {key: vectors(2)}))
    first = len(pipe.tokenizer.tokenizer)
    assert middle(learnt, "my-cat")[0] == [first, first + 1]
    named = pipe.load_textual_inversion(tmp_path / "my-cat.safetensors", "<it>")
    assert middle(named, "<it>")[0] == [first, first + 1] and first not in middle(named, "my-cat")[0]


def test_other_tensors_beside_a_named_one(pipe, tmp_path):
    file = write(tmp_path / "my-cat.safetensors", {"string_to_param.*": vectors(1), "string_to_token.*": np.ones(1)})
    assert middle(pipe.load_textual_inversion(file), "my-cat")[0] == [len(pipe.tokenizer.tokenizer)]


@pytest.mark.parametrize(
    "tensors, token, reason",
    [
        ({"<cat>": vectors(2, width=16)}, None, r"holds vectors of shape [2, 16], but this model's have width 12"),
        ({"<cat>": vectors(2)[None]}, None, "holds vectors of shape [1, 2, 12], but"),
        ({"<cat>": np.ones(())}, None, "holds vectors of shape [], but"),
        ({"<cat>": np.ones((0, WIDTH), np.float32)}, None, "holds vectors of shape [0, 12], but"),
        ({"clip_l": vectors(1), "clip_g": vectors(1)}, None, "holds 2 tensors (clip_g, clip_l), but must hold one"),
        ({}, None, "holds nothing, but must hold one"),
        ({"a": vectors(1)}, None, "cannot be loaded: 'a' is a token of the model already; accepted: a word of its"),
        ({"<cat>": vectors(1)}, "<|endoftext|>", "cannot be loaded: '<|endoftext|>' is a token of the model already"),
        ({"<cat>": vectors(1)}, " ", "cannot be loaded: ' ' is no token"),
    ],
)
def test_what_cannot_be_loaded(pipe, tmp_path, tensors, token, reason):
    """One sentence that names the file."""
    file = write(tmp_path / "b.safetensors", tensors)
    with pytest.raises(InputError) as caught:
        pipe.load_textual_inversion(file, token)
    said = str(caught.value)
    assert said.startswith(f"The textual inversion {file} {reason}") and said.endswith(".") and "\n" not in said


def test_a_token_is_loaded_once(pipe, tmp_path):
    file = write(tmp_path / "b.safetensors", {"<cat>": vectors(2)})
    learnt = pipe.load_textual_inversion(file)
    for token, taken in ((None, "'<cat>'"), ("<CAT>", "'<CAT>'"), ("<cat>_1", "'<cat>_1'")):
        with pytest.raises(InputError, match=f"{taken} is a token of the model already"):
            learnt.load_textual_inversion(file, token)
    single = pipe.load_textual_inversion(write(tmp_path / "c.safetensors", {"<cat>_1": vectors(1)}))
    with pytest.raises(InputError, match="'<cat>_1' is a token of the model already"):
        single.load_textual_inversion(file)


def test_files_that_are_none(pipe, checkpoint, tmp_path):
    file = write(tmp_path / "b.safetensors", {"<cat>": vectors(2)})
    with pytest.raises(InputError, match="made without weights, so none can be changed; call `load` first"):
        RivalPipeline.from_pretrained(checkpoint, "float32", weights=False).load_textual_inversion(file)
    with pytest.raises(InputError, match="none.safetensors is missing"):
        pipe.load_textual_inversion("none.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="b.safetensors is cut short"):
        pipe.load_textual_inversion(file)


@pytest.fixture
def concepts(pipe, tmp_path, monkeypatch):
    """The tests' model for the command, two LoRA and a textual inversion of two vectors."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    for seed, name in enumerate(("one", "two")):
        write(
            tmp_path / f"{name}.safetensors",
            {f"{layer}.lora_A.weight": vectors(3, seed, 8), f"{layer}.lora_B.weight": vectors(8, seed, 3)},
        )
    write(tmp_path / "cat.safetensors", {"<cat>": vectors(2)})
    save_photo(tmp_path / "a.png")
    return tmp_path


LORA = ("--lora", "one.safetensors", "two.safetensors", "--lora-scale", 0.5, -1)
CAT = ("--textual-inversion", "cat.safetensors")
SHORT = ("--num-inference-steps", 4, "-n", 2, "--seed", 3)


def pictures(folder, *numbers):
    return [(folder / f"variation-000{number}.png").read_bytes() for number in numbers]


def test_the_command(concepts, pipe):
    """Pictures are the API's, the record says what was loaded, and repeats it bit for bit."""
    result = rival("vary", "a.png", "--prompt", "a <cat>", *LORA, *CAT, *SHORT, "--out", "out")
    assert result.code == 0 and "warning" not in result.err, result.err
    content = json.loads((concepts / "out/run.json").read_text())
    paths = [str(concepts / f"{name}.safetensors") for name in ("one", "two", "cat")]
    said = {name: content["arguments"][name] for name in ("lora", "lora_scale", "textual_inversion")}
    assert said == {"lora": paths[:2], "lora_scale": [0.5, -1.0], "textual_inversion": paths[2:]}
    digests = [{"path": path, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()} for path in paths]
    assert (content["lora"], content["textual_inversion"]) == (digests[:2], digests[2:])
    learnt = pipe.load_lora_weights(paths[:2], [0.5, -1]).load_textual_inversion(paths[2])
    expected = learnt.vary("a.png", "a <cat>", num_variations=2, num_inference_steps=4, seed=3)
    plain = pipe.vary("a.png", "a <cat>", num_variations=2, num_inference_steps=4, seed=3)
    assert not np.allclose(expected.latents, plain.latents, atol=1e-3)
    written = [np.asarray(Image.open(concepts / f"out/variation-000{number}.png")) for number in (1, 2)]
    np.testing.assert_array_equal(written, expected.images[0])
    assert rival("vary", "--config", "out/run.json").code == 0
    assert pictures(concepts / "out", 1, 2) == pictures(concepts / "out", 3, 4)


def test_a_concept_that_changed_stops_a_repetition(concepts):
    """Unless others are given."""
    assert rival("vary", "a.png", "--prompt", "a <cat>", *LORA, *CAT, *SHORT, "--out", "out").code == 0
    changes = {"two": {"unet.conv_in.alpha": np.ones(1)}, "cat": {"<cat>": vectors(1, 5)}}
    for name, tensors in changes.items():
        file = concepts / f"{name}.safetensors"
        before = file.read_bytes()
        write(file, tensors)
        result = rival("vary", "--config", "out/run.json")
        assert result.code == 2 and f"The file {file} has changed since out/run.json was written" in result.err
        file.write_bytes(before)
    write(concepts / "two.safetensors", changes["two"])
    others = ("--lora", "one.safetensors", "--lora-scale", 1)
    assert (result := rival("vary", "--config", "out/run.json", *others, "--out", "other")).code == 0, result.err
    assert pictures(concepts / "out", 1) != pictures(concepts / "other", 1)


def test_a_token_in_no_prompt_is_a_warning(concepts):
    result = rival("vary", "a.png", "--prompt", "a house", *CAT, *SHORT)
    warning = "warning: No prompt has the token '<cat>', so its textual inversion changes nothing.\n"
    assert result.code == 0 and warning in result.err
    assert warning not in rival("vary", "a.png", "--prompt", "a house", "--negative-prompt", "<cat>", *CAT, *SHORT).err


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--lora", "none.safetensors"), "The weight file none.safetensors is missing."),
        (("--lora", "cat.safetensors"), "The LoRA cat.safetensors cannot be merged: 1 of its 1 tensors have no place"),
        (
            ("--lora", "one.safetensors", "--lora-scale", 1, 2),
            "lora_scale has 2 entries for 1 files; give one",
        ),
        (("--textual-inversion", "one.safetensors"), "The textual inversion one.safetensors holds 2 tensors"),
    ],
)
def test_bad_input(concepts, flags, sentence):
    for command in (("vary", "a.png", "--prompt", "a"), ("warmup",)):
        result = rival(*command, *flags)
        assert result.code == 2 and f"error: {sentence}" in result.err and "Traceback" not in result.err


@pytest.mark.slow
def test_warmup_compiles_for_the_grown_table(concepts, checkpoint, monkeypatch, compilations):
    """The text encoder's program depends on the size of its table; nothing depends on LoRA."""
    monkeypatch.undo()
    write(concepts / "big.safetensors", {"<cat>": vectors(200)})
    flags = ("--model", checkpoint, "--dtype", "float32", "--num-inference-steps", 4, "-n", 2)
    loads = (*flags, "--lora", concepts / "one.safetensors", "--textual-inversion", concepts / "big.safetensors")
    jax.clear_caches()
    assert (result := rival("warmup", *loads)).code == 0, result.err
    before = compilations()
    (concepts / "out").mkdir()
    vary = ("vary", concepts / "a.png", "--prompt", "a <cat>", "--out", concepts / "out")
    assert (result := rival(*vary, *loads)).code == 0, result.err
    assert compilations() == before


def test_on_accelerators_concepts_come_after_the_weights(concepts, checkpoint, monkeypatch):
    """Which are read while programs are compiled."""
    monkeypatch.undo()
    monkeypatch.chdir(concepts)
    flags = ("vary", "a.png", "--model", checkpoint, "--dtype", "float32", *SHORT, "--prompt", "a <cat>", *LORA, *CAT)
    assert rival(*flags, "--out", "cpu").code == 0
    monkeypatch.setattr(run_module.jax, "default_backend", lambda: "gpu")
    assert rival(*flags, "--out", "gpu").code == 0
    assert pictures(concepts / "cpu", 1, 2) == pictures(concepts / "gpu", 1, 2)
