"""Other ways to draw: what their attention reads, what they share with RIVAL, and what one picture is to itself."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rival_jax.attend import FromReference, FromReferenceMaps, Later, Plain
from rival_jax.baselines.methods import METHODS, Task, img2img, masactrl, plug_and_play, text_to_image
from rival_jax.models.attention import Attention
from rival_jax.rows import Layout

LAYER = Attention(8, 2, dtype=jnp.float32, rngs=nnx.Rngs(0))
ROWS = jnp.asarray(np.random.default_rng(1).standard_normal((10, 4, 8)), jnp.float32)
"""Two groups of the reference and four generated rows."""


@pytest.fixture
def task(pipe, chain):
    return Task(pipe, chain, ["a red car", "grass"], 2, 3.0, [1, 2])


def test_later_layers_only():
    """The first two are plain; cross-attention is not counted."""
    attend = Later(FromReference(5, False), 2)
    plain, read = np.asarray(Plain()(LAYER, ROWS, None)), np.asarray(FromReference(5, False)(LAYER, ROWS, None))
    text = LAYER.kv(ROWS)
    found = []
    for _ in range(4):
        found.append(np.asarray(attend(LAYER, ROWS, None)))
        attend(LAYER, ROWS, text)
    for layer, wanted in enumerate((plain, plain, read, read)):
        np.testing.assert_array_equal(found[layer], wanted)
    assert np.abs(plain - read).max() > 1e-3


def test_weights_of_the_reference():
    found = np.asarray(FromReferenceMaps(5)(LAYER, ROWS, None)).reshape(10, 4, 2, 4)
    queries, (keys, values) = np.asarray(LAYER.q(ROWS)), map(np.asarray, LAYER.kv(ROWS))
    for row in range(10):
        reference = row - row % 5
        scores = np.einsum("shk,mhk->hsm", queries[reference], keys[reference]) / 2
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(found[row], np.einsum("hsm,mhk->shk", weights, values[row]), rtol=0, atol=1e-5)


def test_features_of_the_reference():
    """In a UNet, injected into itself nothing changes; into other rows only these."""
    rows = jnp.arange(24.0).reshape(6, 2, 2, 1)
    injected = np.asarray(Layout(1, 1).referred(rows))
    np.testing.assert_array_equal(injected, np.asarray(rows)[[0, 0, 0, 3, 3, 3]])


def test_injection_in_the_network(pipe):
    """Between the rows of one latent and one prompt it changes nothing, between others it does."""
    network = pipe.unet.module()
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 4))
    text = network.read(pipe.embed(("a red car",), (16, 16)).tokens)
    time = network.embed_time(jnp.asarray([501]))

    def predict(rows, **options):
        return np.asarray(network.predict(rows, time, jax.tree.map(lambda k: jnp.repeat(k, 3, 0), text), **options))

    inject = {"inject": Layout(1, 1).referred}
    same, others = jnp.repeat(x, 3, 0), jnp.concatenate([x, 2 * x, -x])
    np.testing.assert_allclose(predict(same, **inject), predict(same), rtol=0, atol=1e-6)
    plain, found = predict(others), predict(others, **inject)
    np.testing.assert_allclose(found[0], plain[0], rtol=0, atol=1e-6)
    assert np.abs(found[1:] - plain[1:]).max() > 1e-3


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method(task, name):
    """Pictures of the exemplars' size, the same twice; one of each, or N that differ."""
    images = METHODS[name](task)
    e, n, *size = images.shape
    assert images.dtype == np.uint8 and (e, *size) == (2, 16, 16, 3) and n in (1, 2)
    np.testing.assert_array_equal(images, METHODS[name](task))
    if n == 2:
        assert (images[:, 0] != images[:, 1]).any()


def test_they_differ(task):
    drawn = [METHODS[name](task)[:, 0].astype(float) for name in METHODS]
    for number, one in enumerate(drawn):
        for other in drawn[number + 1 :]:
            assert np.abs(one - other).mean() > 0.5


def test_text_to_image_knows_no_exemplar(task, pipe, photos):
    other = pipe.invert(255 - photos, ["a red house", "a blue car"], 4)
    drawn = [text_to_image(Task(pipe, chain, task.prompts, 1, 3.0, [1, 2])) for chain in (task.chain, other)]
    np.testing.assert_array_equal(*drawn)


def test_little_noise_is_the_photo(task):
    """Drawn from the clean latents with hardly any noise, img2img is nearer to the exemplar than with all of it."""
    target = task.chain.pixels[:, None].astype(float)
    little, much = (np.abs(img2img(task, strength) - target).mean() for strength in (0.25, 1.0))
    assert little < much


def test_noise_of_its_own(task):
    """A variation's noise is its seed's and its index's: more variations, or others' seeds, change none."""
    more = img2img(replace(task, num_variations=3))
    np.testing.assert_array_equal(more[:, :2], img2img(task))
    other = img2img(replace(task, seeds=[1, 5]))
    np.testing.assert_array_equal(other[0], img2img(task)[0])
    assert (other[1] != img2img(task)[1]).any()


@pytest.mark.parametrize("draw", [masactrl, plug_and_play])
def test_one_picture_whatever_the_seed(draw, pipe, chain, photos):
    """And whatever the chain was told."""
    one, other = (draw(Task(pipe, chain, ["a red car", "grass"], 3, 3.0, seeds)) for seeds in ([1, 2], [8, 9]))
    np.testing.assert_array_equal(one, other)
    untold = pipe.invert(photos, "", chain.num_inference_steps)
    np.testing.assert_array_equal(one, draw(Task(pipe, untold, ["a red car", "grass"], 3, 3.0, [1, 2])))
    assert one.shape[1] == 1
