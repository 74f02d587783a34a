"""What makes a chain lead back to the exemplar: refined steps, and null-text embeddings under guidance."""

import numpy as np
import pytest

from rival_jax import InputError, RivalPipeline, samples


@pytest.fixture(scope="module")
def tiny():
    """The embedded model: a random one's steps are too coarse to be refined."""
    return RivalPipeline.from_pretrained("tiny", "float32")


@pytest.fixture(scope="module")
def inverted(tiny):
    """A sample's chain of 10 steps."""
    return tiny.invert(samples.DIRECTORY / "house.png", "a red house on green grass", 10)


def loss(pipe, chain, **options):
    """How far plain generation from the chain's end ends from its clean latents, relative."""
    plain = {"attention_start": 0, "align": "none", "initial": "inverted"}
    out = pipe.vary(chain, list(chain.source_prompt), **plain, **options)
    return np.linalg.norm(out.latents[:, 0] - chain.latents[0]) / np.linalg.norm(chain.latents[0])


def test_refined_steps_lead_back(tiny, inverted):
    refined = tiny.invert(samples.DIRECTORY / "house.png", inverted.source_prompt[0], 10, fixed_point_steps=3)
    assert refined.fixed_point_steps == 3
    np.testing.assert_array_equal(refined.latents[0], inverted.latents[0])
    assert loss(tiny, refined, guidance_scale=1.0) < 0.2 * loss(tiny, inverted, guidance_scale=1.0)


@pytest.mark.slow
def test_null_text_leads_back_under_guidance(tiny, inverted):
    found = tiny.optimise_null_text(inverted, 7.0, 10)
    assert found.null.shape == (10, 1, tiny.tokenizer.length, tiny.unet.config.cross_attention_dim)
    assert loss(tiny, found, guidance_scale=7.0) < 0.3 * loss(tiny, inverted, guidance_scale=7.0)


@pytest.mark.slow
def test_an_exemplar_s_embeddings_do_not_depend_on_others(pipe, photos, chain):
    """Nor on how many inner steps another one takes."""
    alone = pipe.optimise_null_text(pipe.invert(photos[:1], chain.source_prompt[0], 4), 7.0, 3)
    both = pipe.optimise_null_text(chain, [7.0, 1.0], 3)
    np.testing.assert_allclose(both.null[:, 0], alone.null[:, 0], rtol=1e-3, atol=1e-5)
    empty = np.asarray(pipe.embed(("",), (16, 16)).tokens)[0]
    assert np.abs(np.asarray(both.null[:, 0]) - empty).max() > 1e-3
    np.testing.assert_array_equal(both.null[:, 1], np.broadcast_to(empty, both.null[:, 1].shape))
    with pytest.raises(InputError, match="negative_prompt is 'blue', but the chain has null-text embeddings"):
        pipe.vary(both, "a car", negative_prompt="blue")


@pytest.mark.parametrize(
    "arguments, message", [((np.nan,), "guidance_scale is nan"), ((7.0, 0), "num_inner_steps is 0")]
)
def test_bad_arguments(pipe, chain, arguments, message):
    with pytest.raises(InputError, match=message):
        pipe.optimise_null_text(chain, *arguments)


@pytest.mark.parametrize("value", [-1, 101, 1.5, True])
def test_bad_refinement(pipe, photos, value):
    with pytest.raises(InputError, match=f"fixed_point_steps is {value}, but must be a whole number from 0 to 100"):
        pipe.invert(photos, fixed_point_steps=value)
