"""SDXL, SD image variations and Stable unCLIP: what they take, what they refuse, and concepts for two text encoders."""

import json
import shutil

import numpy as np
import pytest
from checkpoint import CHECKER, WORDS, Model
from command import rival, save_photo
from safetensors.numpy import save_file

from rival_jax import InputError, RivalPipeline, learn_concept
from rival_jax.training.vocabulary import write_tokenizer
from rival_jax.weights import IMAGE_ENCODER, TEXT_ENCODER_2
from rival_jax.weights.fingerprint import fingerprint
from rival_jax.weights.rules import leaf_paths


class SDXL(Model):
    parts = Model.parts | {"text_encoder_2": TEXT_ENCODER_2}
    stems = Model.stems | {"text_encoder_2": "model"}
    configs = Model.configs | {
        "unet": Model.configs["unet"]
        | {
            "cross_attention_dim": 12 + 16,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 6 + 6 * 4,
        },
        "text_encoder_2": Model.configs["text_encoder"] | {"hidden_size": 16, "projection_dim": 6},
    }

    def __init__(self, directory):
        super().__init__(directory)
        write_tokenizer(directory / "tokenizer_2", WORDS)


class ImageVariations(Model):
    parts = Model.parts | {"image_encoder": IMAGE_ENCODER}
    stems = Model.stems | {"image_encoder": "model"}
    configs = {name: Model.configs[name] for name in ("unet", "vae")} | {
        "image_encoder": CHECKER["vision_config"] | {"projection_dim": 12}
    }

    def __init__(self, directory):
        super().__init__(directory)
        shutil.rmtree(directory / "tokenizer")
        (directory / "feature_extractor").mkdir()
        (directory / "feature_extractor/preprocessor_config.json").write_text("{}")


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    return SDXL(tmp_path_factory.mktemp("sdxl")).directory


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return ImageVariations(tmp_path_factory.mktemp("images")).directory


@pytest.fixture(scope="module")
def pipe(sdxl):
    return RivalPipeline.from_pretrained(sdxl, "float32")


def test_an_empty_prompt_is_zeros(pipe, sdxl, tmp_path):
    """As diffusers has it where nothing is said against it; sizes are told all the same."""
    told = pipe.embed(("", "a car"), (16, 24))
    assert told.tokens.shape == (2, 10, 28) and told.added.shape == (2, 30)
    assert not told.tokens[0].any() and not told.added[0, :6].any() and told.tokens[1].any()
    np.testing.assert_array_equal(told.added[0, 6:], told.added[1, 6:])
    assert np.abs(told.added - pipe.embed(("", "a car"), (24, 16)).added).max() > 0.1
    other = shutil.copytree(sdxl, tmp_path / "other")
    (other / "model_index.json").write_text(json.dumps({"force_zeros_for_empty_prompt": False}))
    assert RivalPipeline.from_pretrained(other, "float32").embed(("",), (16, 16)).tokens.any()


@pytest.mark.slow
def test_a_wide_picture(pipe, photos):
    """Sides are multiples of what the model needs, not squares."""
    out = pipe.vary(photos, "a car", num_inference_steps=2, height=16, width=24, negative_prompt="blue")
    assert out.images.shape == (2, 1, 16, 24, 3) and np.isfinite(out.latents).all()


def test_a_token_of_two_encoders(pipe, tmp_path):
    draw = np.random.default_rng(0)
    vectors = {"clip_l": draw.standard_normal((2, 12)), "clip_g": draw.standard_normal((2, 16))}
    vectors = {name: value.astype(np.float32) for name, value in vectors.items()}
    save_file(vectors, tmp_path / "sks.safetensors")
    learnt = pipe.load_textual_inversion(tmp_path / "sks.safetensors")
    before, after = (own.embed(("a sks",), (16, 16)) for own in (pipe, learnt))
    assert (
        np.abs(after.tokens - before.tokens)[..., :12].max()
        > 0.1
        < np.abs(after.tokens - before.tokens)[..., 12:].max()
    )
    plain = [own.embed(("a car",), (16, 16)) for own in (pipe, learnt)]
    np.testing.assert_array_equal(plain[0].tokens, plain[1].tokens)
    np.testing.assert_array_equal(plain[0].added, plain[1].added)
    for broken in ({"sks": vectors["clip_l"]}, {"clip_l": vectors["clip_l"]}):
        save_file(broken, tmp_path / "bad.safetensors")
        with pytest.raises(InputError, match="accepted for a model with two text encoders: clip_l and clip_g"):
            pipe.load_textual_inversion(tmp_path / "bad.safetensors")
    save_file({"clip_l": vectors["clip_l"][:1], "clip_g": vectors["clip_g"]}, tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match="holds 1 and 2 vectors, but must hold as many for either"):
        pipe.load_textual_inversion(tmp_path / "bad.safetensors")


def test_a_lora_of_the_second_encoder(pipe, tmp_path):
    layer = "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"
    save_file(
        {
            f"{layer}.lora_down.weight": np.ones((1, 16), np.float32),
            f"{layer}.lora_up.weight": np.ones((16, 1), np.float32),
        },
        tmp_path / "lora.safetensors",
    )
    merged = pipe.load_lora_weights(tmp_path / "lora.safetensors", 0.5)
    path = "encoder.layers.0.self_attn.q_proj.kernel"
    first, second = (
        [leaf_paths(own.conditioner.texts[number].encoder.state)[path] for own in (pipe, merged)] for number in (0, 1)
    )
    np.testing.assert_array_equal(*first)
    np.testing.assert_allclose(second[1] - second[0], 0.5, atol=1e-6)


def test_a_picture_in_place_of_prompts(images, photos, tmp_path):
    pipe = RivalPipeline.from_pretrained(images, "float32")
    out = pipe.vary(photos, num_inference_steps=2, num_variations=2)
    assert out.images.shape == (2, 2, 16, 16, 3)
    told = [pipe.embed(("",), (16, 16)).tokens, out.chain.source_prompt]
    assert not told[0].any() and told[1] == ("", "")
    for arguments in ({"prompt": "a car"}, {"negative_prompt": "blue"}, {"source_prompt": "a car"}):
        with pytest.raises(InputError, match=f"{next(iter(arguments))} is .*, but the model reads none: leave it out"):
            pipe.vary(photos, **arguments)
    with pytest.raises(InputError, match="noise_level is 3, but only Stable unCLIP has one"):
        pipe.vary(photos, noise_level=3)
    with pytest.raises(InputError, match="The model has no text encoder"):
        pipe.load_textual_inversion(tmp_path / "any.safetensors")
    late = RivalPipeline.from_pretrained(images, "float32", weights=False).load()
    np.testing.assert_array_equal(late.vary(photos, num_inference_steps=2, num_variations=2).latents, out.latents)
    photo = save_photo(tmp_path / "a.png")
    said = rival("vary", photo, "--model", images, "--num-inference-steps", 2, "-n", 1, "--out", tmp_path / "out")
    assert said.code == 0 and (tmp_path / "out/variation-0001.png").is_file()
    assert "none: it is shown the photo" in rival("info", images).out


def test_a_prompt_is_needed(checkpoint, photos, tmp_path):
    with pytest.raises(InputError, match="prompt is missing: say what the pictures show"):
        RivalPipeline.from_pretrained(checkpoint, "float32").vary(photos)
    said = rival("vary", save_photo(tmp_path / "a.png"), "--model", checkpoint)
    assert said.code == 2 and "prompt is missing" in said.err


def test_concepts_are_learnt_on_others(pipe, photos, tmp_path):
    with pytest.raises(InputError, match=r"learn_concept learns on Stable Diffusion 1\.x and 2\.x"):
        learn_concept(pipe, list(photos), tmp_path / "concept", token="<sks>")


def test_what_a_kind_lacks(sdxl, images, tmp_path):
    for source, lost, message in (
        (sdxl, "text_encoder_2", "lacks text_encoder_2/config.json"),
        (sdxl, "tokenizer_2", "lacks tokenizer_2"),
        (images, "image_encoder", "lacks text_encoder/config.json, tokenizer"),
    ):
        model = shutil.copytree(source, tmp_path / lost)
        shutil.rmtree(model / lost)
        with pytest.raises(InputError, match=message):
            RivalPipeline.from_pretrained(model)


def test_widths_that_do_not_fit(tmp_path):
    model = SDXL(tmp_path)
    config = model.configs["text_encoder_2"] | {"projection_dim": 8}
    model.write_config("text_encoder_2", config)
    model.rewrite("text_encoder_2", _exported("text_encoder_2", config))
    with pytest.raises(InputError, match=r"pooled prompts and sizes of width 30, but its encoders give 8 \+ 24"):
        RivalPipeline.from_pretrained(tmp_path)


def _exported(folder, config):
    from rival_jax.weights import export

    class Other(SDXL):
        configs = SDXL.configs | {folder: config}

    return export(SDXL.parts[folder].table, Other.random_state(folder))


def test_every_encoder_counts(sdxl, tmp_path):
    """A model's number changes with each of its files."""
    model = shutil.copytree(sdxl, tmp_path / "model")
    before = fingerprint(model)
    assert before == fingerprint(sdxl)
    file = model / "text_encoder_2/config.json"
    file.write_text(file.read_text() + " ")
    assert fingerprint(model) != before
