"""`pipe.interpolate` on a random model: the spec's acceptance cases 8 to 18, 36 and 37, and its bad inputs."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax import InputError
from rival_jax.alignment import initial_latents
from rival_jax.conditioning import Conditioning
from rival_jax.course import Course
from rival_jax.generation import generate
from rival_jax.interpolation.journey import Journey, frames_between
from rival_jax.interpolation.request import InterpolationRequest, mixing_steps
from rival_jax.stages import Stage
from rival_jax.steps import silent

START, END, STEPS, T = "a red car", "a house on grass", 4, [0.0, 0.3, 0.6, 1.0]
KINDS = [(kind, fused) for kind in ("outer", "inner") for fused in (True, False)]
QUICK = ("fused-outer", "pure-inner")
"""Each kind compiles programs of its own."""
NAMES = {f"{'fused' if fused else 'pure'}-{kind}": (kind, fused) for kind, fused in KINDS}
ALL = pytest.mark.parametrize(
    ("kind", "fused"),
    [pytest.param(*one, id=name, marks=[pytest.mark.slow] * (name not in QUICK)) for name, one in NAMES.items()],
)


@pytest.fixture(scope="module")
def draw(pipe):
    def drawn(start=START, end=END, coefficients=T, **options):
        settings = {"num_inference_steps": STEPS, "warmup_ratio": 1.0, "guidance_scale": 3.0} | options
        return pipe.interpolate(start, end, len(coefficients), coefficients=coefficients, **settings)

    return drawn


def relative(found, wanted):
    return np.linalg.norm(np.asarray(found) - np.asarray(wanted)) / np.linalg.norm(wanted)


@ALL
def test_8_rows_do_not_meet(draw, kind, fused):
    """Another frame between changes no other."""
    first, second = (draw(coefficients=[0, 0.3, t, 1], kind=kind, fused=fused).latents for t in (0.6, 0.7))
    np.testing.assert_array_equal(first[:, [0, 1, 3]], second[:, [0, 1, 3]])
    assert np.abs(first[:, 2] - second[:, 2]).max() > 1e-3


@ALL
def test_11_one_frame_at_a_time(draw, kind, fused):
    together = draw(kind=kind, fused=fused)
    for n in (1, 2):
        alone = draw(coefficients=[0, T[n], 1], kind=kind, fused=fused)
        assert relative(alone.latents[:, 1], together.latents[:, n]) <= 1e-5 * STEPS


def test_12_without_warmup_attention_is_plain(draw):
    """Text-embedding interpolation: whatever the kind."""
    first, *others = (draw(kind=kind, fused=fused, warmup_ratio=0.2).latents for kind, fused in KINDS)
    for other in others:
        np.testing.assert_array_equal(other, first)
    assert relative(draw().latents[:, 1:-1], first[:, 1:-1]) > 1e-2


def test_12_against_prompts_mixed_by_hand(draw, pipe):
    """Text-embedding interpolation, drawn frame by frame as a picture of its own."""
    found = draw(warmup_ratio=0.0)
    start, end, negative = (pipe.embed((text,), (16, 16)).tokens for text in (START, END, ""))
    noise = initial_latents(jnp.zeros((1, 8, 8, 4)), jnp.zeros(1, jnp.uint32), initial="random", num_variations=1)
    for n, t in enumerate(T):
        own, none = Conditioning((1 - t) * start + t * end), Conditioning(negative)
        told = Conditioning.stacked([own, none, own, none])
        course = Course(jnp.zeros((STEPS + 1, 1, 8, 8, 4)), told, np.full((1, 1), 3.0, np.float32))
        plan = [(Stage("plain", "none", 0), STEPS)]
        alone = generate((pipe.unet,), pipe.schedule, course, noise, plan, progress=silent)
        assert relative(found.latents[:, n], alone[:, 0]) <= 1e-5 * STEPS


@pytest.mark.parametrize(("steps", "ratio", "mixing"), [(50, 0.122, 6), (25, 1.0, 25), (25, 0.0, 0), (4, 0.5, 2)])
def test_13_steps_that_mix(pipe, steps, ratio, mixing):
    """The first ones; the rest is plain."""
    asked = InterpolationRequest(3, "outer", True, ratio, "beta", 3.0, 3.0, 16, "width", None, 0)
    plan = asked.stages(pipe.schedule.timesteps(steps), None, of_photos=False)
    assert mixing_steps(plan) == mixing and sum(count for _, count in plan) == steps
    assert [stage.kind for stage, _ in plan] == ["outer"] * (mixing > 0) + [None] * (mixing < steps)


def test_14_ends_are_drawn_alone(draw, pipe, chain):
    """As `vary` draws them, from the same noise, when nothing of a photo is attended to."""
    out = draw(["a red car", "a house"], ["grass", "a blue car"], seed=[4, 5])
    for side, prompts in ((0, ["a red car", "a house"]), (-1, ["grass", "a blue car"])):
        solo = pipe.vary(
            chain, prompts, seed=[4, 5], guidance_scale=3.0, attention_start=0, align="none", initial="random"
        )
        assert relative(out.latents[:, side], solo.latents[:, 0]) <= 1e-5 * STEPS


@ALL
def test_15_from_a_prompt_to_itself(draw, kind, fused):
    out = draw(START, START, kind=kind, fused=fused).latents
    for n in range(1, len(T)):
        assert relative(out[:, n], out[:, 0]) <= 1e-5 * STEPS


def test_16_ends_do_not_see_the_guide(draw):
    plain, guided = draw().latents, draw(guide_prompt="a blue house").latents
    np.testing.assert_array_equal(guided[:, [0, -1]], plain[:, [0, -1]])
    assert np.abs(guided[:, 1] - plain[:, 1]).max() > 1e-3


@pytest.mark.parametrize("kind", ["outer", "inner"])
def test_17_pure_attention_does_not_see_the_guide(draw, kind):
    with pytest.warns(UserWarning, match="guide prompt acts only after the warm-up"):
        guided = draw(guide_prompt="a blue house", kind=kind, fused=False)
    np.testing.assert_array_equal(guided.latents, draw(kind=kind, fused=False).latents)


def random(*shape, seed):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.fixture
def journey():
    """Two ends with tokens, and vectors whose last three numbers, sizes, are the same."""
    tokens, added = random(2, 3, 5, 8, seed=0), random(2, 3, 7, seed=1)
    added = added.at[:, :, 4:].set(added[:, :1, 4:])
    latents = random(3, 2, 2, 6, 8, 4, seed=2)
    return Journey(latents, Conditioning(tokens, added), None, jnp.full((2, 1), 5.0), "width")


def test_18_the_mixture_as_a_guide(journey):
    """Which frames between have without a guide: nothing else changes."""
    t = jnp.asarray([[0.3], [0.8]])
    mixture = jax.tree.map(lambda x: x[:, 0], frames_between(journey, t)[0].own)
    guided = replace(journey, guide=mixture)
    for found, wanted in zip(frames_between(guided, t), frames_between(journey, t), strict=True):
        for one, other in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_36_pooled_prompts_and_sizes(journey):
    course, _ = frames_between(journey, jnp.full((2, 3), 0.5))
    mean = (journey.told.added[:, 0] + journey.told.added[:, 1]) / 2
    np.testing.assert_allclose(course.own.added, jnp.repeat(mean[:, None], 3, axis=1), rtol=0, atol=1e-6)
    others, _ = frames_between(journey, jnp.asarray([[0.1, 0.4, 0.9]] * 2))
    sizes = jnp.broadcast_to(journey.told.added[:, None, 0, 4:], (2, 3, 3))
    np.testing.assert_array_equal(others.own.added[..., 4:], sizes)


def test_37_nothing_is_compiled_again(draw, compilations):
    draw(guide_prompt="a house")
    before = compilations()
    draw("grass", "a blue car", [0, 0.1, 0.9, 1], guide_prompt="a car", guidance_scale=7.0, seed=9)
    assert compilations() == before


@pytest.mark.parametrize("choice", [pytest.param("explore", marks=pytest.mark.slow), "search"])
def test_choices(pipe, choice):
    """Frames are those of their coefficients, which rise from one end to the other."""
    settings = {"num_inference_steps": 2, "warmup_ratio": 1.0, "seed": [1, 2]}
    ends = ["a red car", "grass"], ["a blue house", "a car"]
    out = pipe.interpolate(*ends, 4, coefficients=choice, exploration_size=6, **settings)
    assert out.images.shape == (2, 4, 16, 16, 3) and out.latents.shape == (2, 4, 8, 8, 4)
    assert (np.diff(out.coefficients, axis=1) > 0).all() and out.distances.shape == (2, 3)
    same = pipe.interpolate(*ends, 4, coefficients=out.coefficients, **settings)
    assert relative(out.latents, same.latents) <= 1e-5


def test_from_photo_to_photo_and_to_a_prompt(pipe, photos):
    chain, other = (pipe.invert(photos, text, STEPS) for text in ("a house", "a car"))
    out = pipe.interpolate(chain, other, 3, coefficients="beta")
    aligned, free = (pipe.interpolate(chain, other, 3, coefficients="beta", align=a) for a in ("latent", "none"))
    np.testing.assert_array_equal(out.latents, aligned.latents)
    assert relative(out.latents[:, 1], free.latents[:, 1]) > 1e-3
    np.testing.assert_array_equal(out.latents[:, 0], chain.latents[0])
    np.testing.assert_array_equal(out.latents[:, -1], other.latents[0])
    mixed = pipe.interpolate(chain, "a red car", 3, coefficients="beta")
    np.testing.assert_array_equal(mixed.latents[:, 0], chain.latents[0])
    solo = pipe.vary(chain, "a red car", guidance_scale=7.5, attention_start=0, align="none", initial="inverted")
    assert relative(mixed.latents[:, -1], solo.latents[:, 0]) <= 1e-5 * STEPS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coefficients": [0, 0.5, 0.4, 1]}, "coefficients must rise from 0 to 1"),
        ({"coefficients": [0, 0.5, float("nan"), 1]}, "coefficients must rise from 0 to 1"),
        ({"coefficients": [0, 0.5, 1.0, 1]}, "coefficients must rise from 0 to 1"),
        ({"coefficients": [0.1, 0.2, 0.3, 1]}, "coefficients must rise from 0 to 1"),
        ({"coefficients": [0, 1]}, r"coefficients has the shape \(2,\), but must be \(4,\)"),
        ({"coefficients": "even"}, "coefficients is 'even'; accepted: 'explore', 'search', 'beta'"),
        ({"num_frames": 2}, "num_frames is 2, but must be a whole number from 3"),
        ({"alpha": 0.0}, "alpha is 0.0, but must be a finite number above 0"),
        ({"beta": float("nan")}, "beta is nan, but must be"),
        ({"warmup_ratio": 1.5}, "warmup_ratio is 1.5, but must be from 0 to 1"),
        ({"kind": "middle"}, "kind is 'middle'; accepted: 'outer', 'inner'"),
        ({"align": "noise"}, "align is 'noise'; accepted: 'none', 'latent'"),
        ({"t_early": float("nan")}, "t_early is nan"),
        ({"t_early": -5}, "t_early is -5, but must be from 0 to 1000"),
        ({"warmup_ratio": float("nan")}, "warmup_ratio is nan, but must be from 0 to 1"),
        ({"coefficients": "beta", "alpha": 1e-3, "beta": 1e-3, "num_frames": 7}, "alpha 0.001 and beta 0.001 leave"),
        ({"coefficients": [0, 0.5, 1 - 1e-12, 1]}, "coefficients must rise from 0 to 1"),
        ({"coefficients": [0, "x", 1, 1]}, "coefficients is .*, but must be numbers or"),
        ({"coefficients": {}}, "coefficients is .*, but must be numbers or"),
        ({"distance": "lpips"}, "distance is 'lpips', but must be a function of pictures"),
        ({"slerp_axis": "height"}, "slerp_axis is 'height'; accepted: 'width', 'flat'"),
        ({"exploration_size": True}, "exploration_size is True"),
        ({"exploration_size": 3}, "exploration_size is 3, but must be at least num_frames, 4"),
        ({"coefficients": "search", "warmup_ratio": 0.0}, "have more steps interpolate"),
        ({"height": 15}, "height is 15, but must be a multiple of"),
        ({"seed": -1}, "seed is -1"),
        ({"start": 3}, "start is 3, but must be a prompt, several, or a chain"),
        ({"start": ["a", "b"], "end": ["c"]}, "end has 1 entries, but the other end 2"),
        ({"guide_prompt": ["a", "b"]}, "guide_prompt has 2 entries"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
    ],
)
def test_bad_input(pipe, arguments, message):
    settings = {"start": START, "end": END, "num_frames": 4} | arguments
    with pytest.raises(InputError, match=message):
        pipe.interpolate(**settings)


def test_chains_that_do_not_go_together(pipe, photos, chain):
    with pytest.raises(InputError, match="num_inference_steps is 4, but the chain was inverted with 3"):
        pipe.interpolate(chain, pipe.invert(photos, "", 3), 3)
    with pytest.raises(InputError, match="num_inference_steps is 5, but the chain was inverted with 4"):
        pipe.interpolate(chain, "a car", 3, num_inference_steps=5)


def test_statistics_between_the_ends(draw):
    """Aligned to the last step, a frame's channels have the mean and the deviation that lie between the ends'."""
    settings = {"align": "latent"}
    both = [draw(**settings).latents, draw(**settings, warmup_ratio=0.0).latents]
    for latents in both:
        for measured in (latents.mean(axis=(2, 3)), latents.std(axis=(2, 3), ddof=1)):
            for n, t in enumerate(T):
                np.testing.assert_allclose(
                    measured[:, n], (1 - t) * measured[:, 0] + t * measured[:, -1], rtol=0, atol=1e-4
                )
    assert relative(*both) > 1e-3
    np.testing.assert_array_equal(draw(align="latent", t_early=1000).latents, draw().latents)


def test_pairs_in_parts(draw, monkeypatch):
    """Where memory holds one pair at a time, ends and frames are those of all at once."""
    ends = ["a red car", "grass"], ["a house", "a blue car"]
    whole = draw(*ends, seed=[1, 2]).latents
    monkeypatch.setattr("rival_jax.generation.free_bytes", lambda: 1)
    assert relative(draw(*ends, seed=[1, 2]).latents, whole) <= 1e-5


@pytest.mark.parametrize("guidance", [1.0, 0.5])
def test_guidance_of_one_needs_no_negative(draw, guidance):
    """At 1 and below, pictures are of the prompt alone."""
    first, second = (draw(guidance_scale=guidance, negative_prompt=text).latents for text in ("", "a blue house"))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)


def test_pictures_that_are_the_same(pipe, draw):
    """Nothing to explore, and nothing that jumps; a size of exploration that is not used is not asked for."""
    out = pipe.interpolate(
        "grass", "grass", 3, coefficients=[0, 0.5, 1], num_inference_steps=STEPS, warmup_ratio=0.0, exploration_size=1
    )
    same = np.broadcast_to(out.images[:, :1], out.images.shape)
    [scores] = replace(out, distances=np.stack([pipe.distance(x[:-1], x[1:]) for x in same])).scores
    assert scores.degenerate and scores.smoothness == 1 and scores.consistency == 0
    assert np.isnan(out.shapes).all()
