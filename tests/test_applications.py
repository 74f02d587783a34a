"""The applications beside `vary`: what sets them apart, and the laws that tie them to it."""

import json
from functools import partial

import numpy as np
import pytest
from checkpoint import write_controlnet
from command import rival, save_photo
from PIL import Image

from rival_jax import InputError, RivalPipeline

PROMPT, N = "a red car", 2


def distance(one, other):
    """Relative to the other's norm."""
    return np.linalg.norm(np.asarray(one) - np.asarray(other)) / np.linalg.norm(other)


@pytest.fixture
def masks(photos):
    """Two holes in pictures of 16 x 16."""
    masks = np.zeros(photos.shape[:3], bool)
    masks[0, 4:9, 5:11], masks[1, 12:, :6] = True, True
    return masks


def test_generate_and_edit_are_vary_with_other_settings(pipe, chain):
    same = np.testing.assert_array_equal
    vary = partial(pipe.vary, chain, PROMPT, seed=3)
    same(pipe.generate(chain, PROMPT, seed=3).latents, vary(attention_start=960).latents)
    same(pipe.generate(chain, PROMPT, seed=3, attention_start=1000).latents, vary().latents)
    same(pipe.edit(chain, PROMPT).latents, vary(attention_start=900, initial="inverted").latents)
    out = pipe.edit(chain, PROMPT, ["a red house", "a blue car"])
    same(out.latents, pipe.edit(chain, PROMPT).latents)
    with pytest.raises(InputError, match="source_prompt is .* but the chain was inverted with"):
        pipe.edit(chain, PROMPT, "grass")


def test_strength(pipe, chain):
    """Generation starts so far down the chain, and the fewer steps it takes, the more it keeps."""
    edit = partial(pipe.edit, chain, PROMPT, guidance_scale=3.0)
    seen = []
    half = edit(strength=0.5, watch=lambda t, x: seen.append((t, np.asarray(x))))
    steps = chain.num_inference_steps
    assert [t for t, _ in seen] == list(range(round(steps / 2), -1, -1))
    np.testing.assert_array_equal(seen[0][1][:, 0], chain.latents[round(steps / 2)])
    np.testing.assert_array_equal(edit(strength=1).latents, edit().latents)
    far = [distance(out.latents[:, 0], chain.latents[0]) for out in (edit(strength=0.01), half, edit())]
    assert far == sorted(far) and far[0] < far[1] < far[2]


@pytest.mark.parametrize("strength", [0, 1.1, float("nan"), "half"])
def test_bad_strength(pipe, chain, strength):
    with pytest.raises(InputError, match="strength is .*, but must be above 0 and at most 1"):
        pipe.edit(chain, PROMPT, strength=strength)


def test_strength_is_of_the_inverted_latents(pipe, chain):
    with pytest.raises(InputError, match="strength is 0.5, but only what starts from the inverted latents"):
        pipe.vary(chain, PROMPT, strength=0.5)


def test_photos_are_inverted_with_the_empty_prompt(pipe, photos):
    for draw in (pipe.generate, pipe.edit, lambda *a, **k: pipe.inpaint(a[0], np.ones((16, 16), bool), *a[1:], **k)):
        assert draw(photos, PROMPT, num_inference_steps=4).chain.source_prompt == ("", "")
        assert draw(photos, PROMPT, num_inference_steps=4, source_prompt="car").chain.source_prompt == ("car", "car")


def test_outside_the_hole_nothing_changes(pipe, chain, masks):
    seen = {}
    out = pipe.inpaint(chain, masks, PROMPT, num_variations=N, watch=lambda t, x: seen.update({t: np.asarray(x)}))
    cells = masks.reshape(2, 8, 2, 8, 2).any(axis=(2, 4))
    for t, latents in seen.items():
        for e in range(2):
            for n in range(N):
                np.testing.assert_array_equal(latents[e, n][~cells[e]], np.asarray(chain.latents[t, e])[~cells[e]])
                assert np.abs(latents[e, n] - np.asarray(chain.latents[t, e]))[cells[e]].max() > 1e-3
    kept = out.weights == 0
    assert kept.any() and out.weights[masks].min() == 1
    for n in range(N):
        np.testing.assert_array_equal(out.images[:, n][kept], chain.pixels[kept])
    start = seen[4]
    for e in range(2):  # inside, the same positions in another order
        rows = [{tuple(cell) for cell in x[cells[e]]} for x in (start[e, 0], np.asarray(chain.latents[-1, e]))]
        assert rows[0] == rows[1]


def test_an_empty_mask_gives_the_exemplar_back_and_a_full_one_a_variation(pipe, chain):
    nothing = pipe.inpaint(chain, np.zeros((16, 16), np.uint8), PROMPT)
    np.testing.assert_array_equal(nothing.images[:, 0], chain.pixels)
    np.testing.assert_array_equal(nothing.latents[:, 0], chain.latents[0])
    everything = pipe.inpaint(chain, np.full((16, 16), 255, np.uint8), PROMPT, seed=7)
    expected = pipe.vary(chain, PROMPT, seed=7)
    assert distance(everything.latents, expected.latents) < 1e-4
    assert np.abs(everything.images.astype(int) - expected.images).max() <= 1


@pytest.mark.parametrize("initial", ["gaussian", "random", "inverted", "array"])
def test_any_start_inside_the_hole(pipe, chain, masks, initial):
    seen = {}
    given = np.ones((2, 1, 8, 8, 4), np.float32) if initial == "array" else initial
    pipe.inpaint(chain, masks, PROMPT, initial=given, watch=lambda t, x: seen.setdefault(t, np.asarray(x)))
    cells = masks.reshape(2, 8, 2, 8, 2).any(axis=(2, 4))
    start, noisy = seen[4][:, 0], np.asarray(chain.latents[-1])
    np.testing.assert_array_equal(start[~cells], noisy[~cells])
    if initial == "array":
        assert (start[cells] == 1).all()
    else:
        assert (start[cells] == noisy[cells]).all() == (initial == "inverted")


def test_masks_and_guidance_compile_nothing_anew(pipe, chain, masks, compilations):
    pipe.inpaint(chain, masks, PROMPT)
    before = compilations()
    pipe.inpaint(chain, masks[::-1].copy(), "a blue house", guidance_scale=3.0, seed=5)
    assert compilations() == before


def test_second_order_steps(pipe, chain):
    one, other = (pipe.vary(chain, PROMPT, solver=solver) for solver in ("ddim", "dpm++"))
    assert distance(one.latents, other.latents) > 1e-2
    with pytest.raises(InputError, match="solver is 'euler'; accepted: 'ddim', 'dpm\\+\\+'"):
        pipe.vary(chain, PROMPT, solver="euler")


@pytest.fixture
def use_pipe(pipe, monkeypatch):
    """The command takes the tests' model, loaded and compiled once."""
    monkeypatch.setattr(RivalPipeline, "from_pretrained", lambda *_, **__: pipe)


@pytest.mark.slow
def test_inpaint_on_the_command_line(use_pipe, tmp_path):
    """A picture at the model's size and one at the photo's, whose pixels outside the mask are the photo's."""
    photo, mask = save_photo(tmp_path / "photo.png", size=(40, 24)), np.zeros((24, 40), np.uint8)
    mask[10:14, 16:22] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    short = ("--num-inference-steps", 4, "-n", 2, "--out", tmp_path / "out")
    result = rival("inpaint", photo, "--mask", tmp_path / "mask.png", "--prompt", PROMPT, *short)
    assert result.code == 0, result.err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "full-0001.png",
        "full-0002.png",
        "inpainted-0001.png",
        "inpainted-0002.png",
        "run.json",
        "sheet.png",
    ]
    whole, original = (np.asarray(Image.open(path)) for path in (tmp_path / "out" / names[0], photo))
    changed = np.argwhere((whole != original).any(axis=-1))
    assert len(changed) and (changed.min(axis=0) >= [3, 9]).all() and (changed.max(axis=0) < [21, 29]).all()
    again = rival("inpaint", "--config", tmp_path / "out" / "run.json")
    assert again.code == 0, again.err
    for name in ("inpainted-000{}.png", "full-000{}.png"):
        for number in (1, 2):
            one, other = (tmp_path / "out" / name.format(n) for n in (number, number + 2))
            assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_the_photo_s_own_edges_on_the_command_line(use_pipe, tmp_path):
    """Of a photo of another aspect than the pictures'; and a control image too many is met before the model."""
    photo, net = save_photo(tmp_path / "photo.png", size=(40, 24)), tmp_path / "net"
    write_controlnet(net)
    arguments = ("vary", photo, "--prompt", PROMPT, "--num-inference-steps", 4, "-n", 1, "--out", tmp_path / "out")
    control = ("--controlnet", net, "--control-image", "canny")
    result = rival(*arguments, *control, "--controlnet-scale", 0.5)
    assert result.code == 0, result.err
    settings = json.loads((tmp_path / "out" / "run.json").read_text())
    assert settings["arguments"]["control_image"] == ["canny"] and settings["control_image"] == []
    several = rival(*arguments, *control, "--control-image", "canny")
    assert several.code == 2 and "control_image has 2 entries, but there are 1 ControlNets and 1 photos" in several.err


@pytest.mark.parametrize("command, name", [("generate", "generated"), ("edit", "edited")])
def test_generate_and_edit_on_the_command_line(use_pipe, tmp_path, command, name):
    result = rival(command, save_photo(tmp_path / "a.png"), "--prompt", PROMPT, "--num-inference-steps", 4, "-n", 1)
    assert result.code == 0, result.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}-0001.png", "run.json", "sheet.png"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("inpaint", "photo.png", "--prompt", PROMPT), "mask is missing: name a black and white picture"),
        (
            ("inpaint", "photo.png", "--prompt", PROMPT, "--mask", "small.png"),
            "small.png is 20 x 20 pixels, but its photo",
        ),
        (("inpaint", "photo.png", "--prompt", PROMPT, "--mask", "none.png"), "none.png cannot be read (No such file"),
        (("generate", "--prompt", PROMPT), "photos is missing: name the photo"),
        (("vary", "photo.png", "--prompt", PROMPT, "--control-image", "photo.png"), "without a controlnet"),
    ],
)
def test_bad_arguments(use_pipe, tmp_path, arguments, message):
    save_photo(tmp_path / "photo.png", size=(40, 24))
    Image.new("L", (20, 20)).save(tmp_path / "small.png")
    result = rival(*arguments)
    assert result.code == 2 and message in result.err
    assert len(result.err.strip().splitlines()) == 1
