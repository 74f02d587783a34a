"""What the page draws is the library's; what it cannot draw it says in a sentence."""

import io

import numpy as np
import pytest
from command import save_photo
from PIL import Image

from rival_jax.demo import drawing
from rival_jax.demo.runs import Cancelled, Runs
from rival_jax.errors import InputError
from rival_jax.images import load_images, psnr
from rival_jax.steps import silent

SHORT = {"num_inference_steps": 2, "guidance_scale": 5.0, "negative_prompt": ""}


@pytest.fixture
def file(tmp_path):
    return str(save_photo(tmp_path / "cat.png", size=(40, 30)))


def _pictures(drawn):
    return np.stack([np.asarray(picture) for picture, _ in drawn.pictures])


def test_the_same_seed_draws_what_the_library_draws(pipe, file):
    settings = SHORT | {"num_variations": 2, "t_align": 600, "seed": 7}
    drawn = drawing.vary(pipe, file, "a car", "", **settings, progress=silent)
    out = pipe.vary(file, "a car", **settings)
    [reconstructed] = pipe.reconstruct(out.chain)
    np.testing.assert_array_equal(_pictures(drawn), [out.chain.pixels[0], reconstructed, *out.images[0]])
    decibels = psnr(out.chain.pixels, reconstructed[None])[0]
    assert [caption for _, caption in drawn.pictures] == ["photo", f"reconstruction, {decibels:.1f} dB", "1", "2"]
    assert drawing.chosen_seed(7, random=False) == 7


def test_a_random_seed_is_one_that_can_be_given(pipe):
    seeds = {drawing.chosen_seed(0, random=True) for _ in range(8)}
    assert len(seeds) > 1 and all(0 <= seed < 2**32 for seed in seeds)


def test_editing(pipe, file):
    settings = SHORT | {"strength": 0.5, "attention_start": 900}
    drawn = drawing.edit(pipe, file, "a car", "a boat", **settings, progress=silent)
    np.testing.assert_array_equal(_pictures(drawn)[2:], pipe.edit(file, "a boat", "a car", **settings).images[0])


def test_what_is_painted_is_filled(pipe, file):
    """The paint is on the enlarged canvas, the mask is the model's."""
    settings = SHORT | {"seed": 3}
    canvas = drawing.canvas(pipe, file)
    factor = canvas.width // pipe.size
    assert canvas.size == (factor * pipe.size, factor * pipe.size) and canvas.width >= drawing.CANVAS
    mask = np.zeros((pipe.size, pipe.size), bool)
    mask[4:9, 2:12] = True
    painted = np.kron(mask, np.full((factor, factor), 90)).astype(np.uint8)
    drawn = drawing.inpaint(pipe, file, painted, "a boat", **settings, progress=silent)
    seen = load_images(file, pipe.size, pipe.size)
    expected = pipe.inpaint(seen, mask, "a boat", **settings).images[0]
    np.testing.assert_array_equal(_pictures(drawn)[2:], expected)
    for nothing in (None, np.zeros_like(painted)):
        with pytest.raises(InputError, match="mask is missing: paint over what shall be filled."):
            drawing.inpaint(pipe, file, nothing, "a boat", **settings, progress=silent)


@pytest.mark.slow
def test_a_sequence_from_a_photo_to_a_prompt(pipe, file):
    settings = {"num_frames": 3, "coefficients": "beta", "seed": 2, "guidance_scale": 7.5, "num_inference_steps": 2}
    drawn = drawing.interpolate(pipe, "a car", file, "a boat", None, **settings, progress=silent)
    out = pipe.interpolate(pipe.invert(file, "a car", 2), "a boat", **settings)
    np.testing.assert_array_equal(_pictures(drawn), [load_images(file, pipe.size, pipe.size)[0], *out.images[0]])
    assert [caption for _, caption in drawn.pictures] == ["photo at the start", "0.00", "0.50", "1.00"]
    with Image.open(io.BytesIO(drawn.animation)) as animation:
        assert animation.n_frames == 4


def test_bad_photos_are_named_as_they_were_uploaded(tmp_path, monkeypatch):
    bad = tmp_path / "cat.png"
    bad.write_text("hello")
    with pytest.raises(InputError, match=r"^cat\.png is not a picture that Pillow can read, such as"):
        drawing.photo(str(bad))
    with pytest.raises(InputError, match="^photo is missing: upload one, or take a sample.$"):
        drawing.photo(None)
    monkeypatch.setattr("rival_jax.images.MOST_PIXELS", 1_000)
    with pytest.raises(InputError, match=r"^cat\.png has more than 0 megapixels; give a smaller picture\.$"):
        drawing.photo(str(save_photo(bad, size=(40, 30))))


def test_bad_settings_are_said_in_the_librarys_words(pipe, file):
    with pytest.raises(InputError, match="prompt is missing"):
        drawing.vary(pipe, file, "", "", **SHORT, progress=silent)
    with pytest.raises(InputError, match="end is missing: say what it shows, or give its photo."):
        drawing.interpolate(pipe, "a car", file, "", None, 2, progress=silent)
    with pytest.raises(InputError, match="seed is None, but must be an integer"):
        drawing.vary(pipe, file, "a car", "", **SHORT, seed=None, progress=silent)


def test_a_cancelled_run_stops_at_its_next_report(pipe, file):
    """And at once where it still waits; other visitors' runs go on."""
    runs, seen, settings = Runs(), [], SHORT | {"num_variations": 2}

    def cancel_in_the_middle(stage, done, total):
        seen.append((stage, done))
        if stage == "generation":
            runs.cancel("a")

    for visitor in ("a", "b"):
        runs.begin(visitor)
    with pytest.raises(Cancelled):
        drawing.vary(pipe, file, "a car", "", **settings, progress=runs.watched("a", cancel_in_the_middle))
    assert seen[-1] == ("generation", 0)
    drawing.vary(pipe, file, "a car", "", **settings, progress=runs.watched("b", silent))
    runs.cancel("b")
    with pytest.raises(Cancelled):
        runs.watched("b", silent)("inversion", 0, 2)
    runs.begin("b")
    runs.watched("b", silent)("inversion", 0, 2)
    runs.end("b")
    runs.cancel("b")  # of a run that is over: nothing
