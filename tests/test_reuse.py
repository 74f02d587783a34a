"""Work that is not done twice: what is reused is what would have been computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rival_jax import RivalPipeline, samples
from rival_jax.attend import FromReference, Plain
from rival_jax.errors import InputError
from rival_jax.models.attention import Prefix
from rival_jax.rows import Layout

N = 2
OPTIONS = {"num_variations": N, "seed": [1, 2], "negative_prompt": "blue"}


def relative(found, wanted):
    return np.linalg.norm(np.asarray(found) - np.asarray(wanted)) / np.linalg.norm(wanted)


@pytest.fixture(scope="module")
def inputs(pipe):
    """Generated latents (e, n, ...), references (e, ...) and hidden states (e, 4, m, d)."""
    draw = np.random.default_rng(0)
    latents, references = (draw.standard_normal(shape, np.float32) for shape in ((2, N, 8, 8, 4), (2, 1, 8, 8, 4)))
    texts = pipe.embed(("a", "b", "c", "d") * 2, (16, 16)).tokens
    return jnp.asarray(latents), jnp.asarray(references), texts.reshape(2, 4, 10, 12)


@pytest.mark.parametrize("references", [0, 1, 2])
@pytest.mark.parametrize("keep_own", [False, True])
def test_text_time_and_the_part_before_prompts(pipe, inputs, references, keep_own):
    """Prompts and the timestep read once, and one row for both guidance halves before prompts are read, against every
    row by itself."""
    generated, reference, texts = inputs
    layout = Layout(references, N)
    rows = layout.latents(reference, generated)
    attend = FromReference(layout.group, keep_own) if references else Plain()
    few = FromReference(1 + N, keep_own) if references else Plain()
    told = layout.texts(texts)

    @jax.jit
    def once(unet):
        module = unet.module()
        time = module.embed_time(jnp.asarray([500]))
        known = [
            tuple(layout.texts(x.reshape(2, 4, *x.shape[1:])) for x in pair)
            for pair in module.read(texts.reshape(8, 10, 12))
        ]
        return module.predict(rows, time, known, attend=attend, prefix=Prefix(few, layout.spread))

    @jax.jit
    def anew(unet):
        every = layout.spread(rows)
        return unet.module()(every, jnp.full(len(every), 500), told, attend=attend)

    assert relative(once(pipe.unet), anew(pipe.unet)) <= 1e-5


_SLOW = [pytest.param(options, marks=pytest.mark.slow) for options in ({"attention_start": 700}, {"align": "none"})]


@pytest.mark.parametrize("options", [{}, {"align": "noise", "t_early": 0}, *_SLOW])
def test_a_kept_reference_is_exact_under_the_current_convention(pipe, photos, options):
    current = {"num_inference_steps": 4, "timestep_convention": "current"} | OPTIONS | options
    plain, kept = (pipe.vary(photos, "a car", cache_reference=kept, **current) for kept in (False, True))
    assert kept.chain.cache_reference and not plain.chain.cache_reference
    assert relative(kept.chain.latents, plain.chain.latents) <= 1e-5
    assert relative(kept.latents, plain.latents) <= 1e-4


@pytest.mark.slow
def test_under_target_it_is_a_close_approximation():
    """On a trained model; the latents that the UNet saw were one step cleaner."""
    tiny = RivalPipeline.from_pretrained("tiny", "float32")
    photo, caption = samples.default()
    plain, kept = (tiny.vary(photo, caption, num_inference_steps=10, cache_reference=kept) for kept in (False, True))
    assert 1e-3 < relative(kept.latents, plain.latents) < 0.05


def test_cache_bytes(pipe, photos):
    """Stated beforehand, to the byte."""
    chain = pipe.invert(photos, "a car", 4, "current", cache_reference=True)
    assert pipe.cache_bytes(2, 4) == sum(leaf.nbytes for leaf in jax.tree.leaves(chain.kept))


def test_a_kept_reference_is_the_source_prompt_s(pipe, photos):
    kept = pipe.invert(photos, "a car", 4, cache_reference=True)
    for given, more in ((photos, {"cache_reference": True}), (kept, {})):
        with pytest.raises(InputError, match="reference is 'paired', but cache_reference keeps"):
            pipe.vary(given, "a car", reference="paired", **more)
    with pytest.raises(InputError, match="cache_reference is False, but the chain was inverted with True"):
        pipe.vary(kept, "a car", cache_reference=False)
    with pytest.raises(InputError, match="cache_reference is 1, but must be True or False"):
        pipe.vary(photos, "a car", cache_reference=1)
