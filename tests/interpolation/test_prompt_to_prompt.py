"""The end as the start, edited: which words stand for which, whose attention maps are read, and levels of editing."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rival_jax import InputError
from rival_jax.attend import FromMaps, Plain
from rival_jax.interpolation.prompt_to_prompt import counterparts, edited_stages
from rival_jax.models.attention import Attention

SETTINGS = {"num_inference_steps": 4, "guidance_scale": 3.0, "coefficients": [0, 0.5, 1]}


def relative(found, wanted):
    return np.linalg.norm(np.asarray(found) - np.asarray(wanted)) / np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("source", "target", "wanted"),
    [
        ([1, 5, 6, 2, 2, 2], [1, 5, 6, 2, 2, 2], [0, 1, 2, 3, 4, 5]),
        ([1, 5, 6, 2, 2, 2], [1, 7, 6, 2, 2, 2], [0, 1, 2, 3, 4, 5]),
        ([1, 5, 6, 2, 2, 2], [1, 5, 7, 6, 2, 2], [0, 1, -1, 2, 3, 4]),
        ([1, 5, 7, 6, 2, 2], [1, 5, 6, 2, 2, 2], [0, 1, 3, 4, 5, -1]),
    ],
    ids=["same", "swapped", "added", "left out"],
)
def test_counterparts(source, target, wanted):
    assert counterparts(np.array([source]), np.array([target])).tolist() == [wanted]


def test_stages():
    plan = [(stage.attention, count) for stage, count in edited_stages(50, None)]
    assert plan == [("maps", 20), ("words", 20), ("plain", 10)]


LAYER = Attention(8, 2, context_width=8, dtype=jnp.float32, rngs=nnx.Rngs(0))
ROWS = jnp.asarray(np.random.default_rng(1).standard_normal((10, 4, 8)), jnp.float32)
"""Two groups of the reference, two rows of the target's half and two of the negative one."""


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def weights(row, context):
    """Of a row's queries (s, d) and a context (m, d): (h, s, m)."""
    queries, keys = np.asarray(LAYER.q(ROWS[row][None])[0]), np.asarray(LAYER.kv(context[None])[0][0])
    return softmax(np.einsum("shk,mhk->hsm", queries, keys) / 2)


def read(found, context):
    return np.einsum("hsm,mhk->shk", found, np.asarray(LAYER.kv(context[None])[1][0]))


@pytest.mark.parametrize("positions", [False, True])
def test_maps_of_positions(positions):
    found = np.asarray(FromMaps(jnp.zeros((2, 6), jnp.int32), positions)(LAYER, ROWS, None)).reshape(10, 4, 2, 4)
    plain = np.asarray(Plain()(LAYER, ROWS, None))
    for row in range(10):
        if positions and row % 5 in (1, 2):
            wanted = read(weights(row - row % 5, ROWS[row - row % 5]), ROWS[row])
            np.testing.assert_allclose(found[row], wanted, rtol=0, atol=1e-5)
            assert np.abs(found[row] - plain[row]).max() > 1e-3
        else:
            np.testing.assert_allclose(found[row], plain[row], rtol=0, atol=1e-6)


def test_maps_of_words():
    """A token that stands for another has that one's weight; one that is new its own."""
    texts = jnp.asarray(np.random.default_rng(2).standard_normal((10, 6, 8)), jnp.float32)
    words = np.array([[0, 1, 2, 3, 4, 5], [0, -1, 1, 2, -1, 3]], np.int32)
    found = np.asarray(FromMaps(jnp.asarray(words), False)(LAYER, ROWS, LAYER.kv(texts)))
    plain = np.asarray(Plain()(LAYER, ROWS, LAYER.kv(texts)))
    for row in range(10):
        group, reference = row // 5, row - row % 5
        wanted = plain[row]
        if row % 5 in (1, 2):
            taken, own = weights(reference, texts[reference]), weights(row, texts[row])
            mixed = np.where(words[group] >= 0, taken[..., np.maximum(words[group], 0)], own)
            wanted = read(mixed, texts[row])
        np.testing.assert_allclose(found[row], wanted, rtol=0, atol=1e-5)


def test_the_same_prompt_is_the_same_picture(pipe):
    out = pipe.interpolate("a red car", "a red car", 3, prompt_to_prompt=True, **SETTINGS)
    assert relative(out.latents[:, -1], out.latents[:, 0]) <= 1e-5


def test_an_edited_photo(pipe, chain):
    """From the photo, as it is, to what is drawn of another prompt with its maps."""
    edited, other = (pipe.interpolate(chain, "a red car", 3, prompt_to_prompt=p, **SETTINGS) for p in (True, False))
    np.testing.assert_array_equal(edited.latents[:, 0], chain.latents[0])
    np.testing.assert_array_equal(edited.images[:, 0], other.images[:, 0])
    assert relative(edited.latents[:, -1], other.latents[:, -1]) > 1e-3
    assert relative(edited.latents[:, 1], other.latents[:, 1]) > 1e-3


def test_bad_input(pipe, chain):
    with pytest.raises(InputError, match="give a prompt as the end, not a chain"):
        pipe.interpolate("a red car", chain, 3, prompt_to_prompt=True)
    with pytest.raises(InputError, match="say what the start shows too"):
        pipe.interpolate("", "a red car", 3, prompt_to_prompt=True)


@pytest.mark.slow
def test_null_text_of_the_start_is_the_ends_too(pipe, chain):
    null = np.random.default_rng(0).standard_normal((4, 2, *pipe.text_shape)).astype(np.float32)
    settings = SETTINGS | {"prompt_to_prompt": True}
    plain, with_null = (pipe.interpolate(own, "a car", 3, **settings) for own in (chain, replace(chain, null=null)))
    assert relative(with_null.latents[:, -1], plain.latents[:, -1]) > 1e-3
