"""What must hold of the whole method whatever the network, on a tiny random one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rival_jax import Chain
from rival_jax.models.network import Network
from rival_jax.schedule import Schedule

STEPS, N = 4, 2
PLAIN = {"attention_start": 0, "align": "none"}


def relative(found, wanted):
    """Norm of the difference over norm of what is wanted."""
    return np.linalg.norm(np.asarray(found) - np.asarray(wanted)) / np.linalg.norm(wanted)


def quietened(pipe, gain):
    """The pipeline with a UNet whose prediction moves with its input `gain` times as much."""
    state = jax.tree.map(lambda leaf: leaf, pipe.unet.state)
    leaves = nnx.to_pure_dict(state)
    leaves["conv_out"]["kernel"] = gain * leaves["conv_out"]["kernel"]
    nnx.replace_by_pure_dict(state, leaves)
    return replace(pipe, unet=Network(pipe.unet.graphdef, state, pipe.unet.config))


def embedded(pipe, prompts):
    return pipe.text_encoder.module()(jnp.asarray(pipe.tokenizer(tuple(prompts))))


@pytest.fixture(scope="module")
def ddim(pipe):
    """Ordinary DDIM sampling with guidance, written out: every level's latents (T + 1, b, y, x, c), index 0 final."""
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    timesteps = range(1, 1000, 1000 // STEPS)
    predict = jax.jit(lambda unet, x, t, text: unet.module()(x, jnp.full(x.shape[0], t), text))

    def sample(start, prompts, negatives, scale):
        positive, negative = embedded(pipe, prompts), embedded(pipe, negatives)
        levels = [np.asarray(start, np.float64)]
        for t in reversed(timesteps):
            x, a = levels[-1], alphas[t]
            b = alphas[t - 1000 // STEPS] if t > 1 else alphas[0]
            towards, away = (
                np.asarray(predict(pipe.unet, x.astype(np.float32), t, text)) for text in (positive, negative)
            )
            noise = away + scale * (towards - away)
            clean = (x - np.sqrt(1 - a) * noise) / np.sqrt(a)
            levels.append(np.sqrt(b) * clean + np.sqrt(1 - b) * noise)
        return np.stack(levels[::-1])

    return sample


@pytest.fixture(scope="module")
def start():
    return np.random.default_rng(1).standard_normal((2, 8, 8, 4), np.float32)


def test_without_rival_it_is_ordinary_ddim(pipe, chain, ddim, start):
    prompts, negative = ["a red car", "a house on grass"], "blue"
    expected = ddim(start, prompts, [negative] * 2, 7.0)[0]
    fixed = {"negative_prompt": negative, "guidance_scale": 7.0, "initial": start[:, None], "attention_start": 0}
    for options in ({"align": "none"}, {"t_early": 1000}):
        out = pipe.vary(chain, prompts, **fixed, **options)
        assert relative(out.latents[:, 0], expected) <= 1e-4


def test_reading_oneself_is_plain_attention(pipe, photos, ddim, start):
    """On a chain that is generation's own path, replaced and joined keys are the rows' own: nothing changes."""
    sources = ("a red house", "a blue car")
    path = ddim(start, sources, sources, 1.0)
    chain = Chain(jnp.asarray(path, jnp.float32), photos, sources, "target")
    out = pipe.vary(chain, sources, guidance_scale=1.0, initial="inverted", num_variations=N, align="noise")
    for n in range(N):
        assert relative(out.latents[:, n], path[0]) <= 1e-4


@pytest.mark.parametrize("guidance_scale", [1.0, 7.0])
def test_constant_noise_leads_back_to_the_exemplar(pipe, photos, guidance_scale):
    still = quietened(pipe, 0.0)
    chain = still.invert(photos, "a house", STEPS)
    assert relative(chain.latents[-1], chain.latents[0]) > 0.5
    options = {"guidance_scale": guidance_scale, "initial": "inverted", "num_variations": N, "align": "noise"}
    out = still.vary(chain, "a car", **options)
    for n in range(N):
        assert relative(out.latents[:, n], chain.latents[0]) <= 1e-5


def test_more_steps_reconstruct_better(pipe, photos):
    schedule = Schedule(timestep_spacing="trailing")  # the same noisiest timestep for any number of steps
    calm, errors = replace(quietened(pipe, 0.002), schedule=schedule), {}
    for steps in (STEPS, 20):
        chain = calm.invert(photos, "a house", steps)
        out = calm.vary(chain, "a house", guidance_scale=1.0, initial="inverted", **PLAIN)
        errors[steps] = relative(out.latents[:, 0], chain.latents[0])
    np.testing.assert_array_equal(calm.reconstruct(chain), out.images[:, 0])
    assert errors[20] < 0.05 and errors[20] < errors[STEPS] / 3


def test_a_batch_is_its_parts(pipe, photos, chain):
    """E exemplars x N variations at once are what each gives alone: rows meet only in their group."""
    prompts, seeds = ("a red car", "a blue house"), (3, 11)
    batch = pipe.vary(chain, prompts, num_variations=N, seed=seeds)
    for e in range(2):
        own = pipe.invert(photos[e], chain.source_prompt[e], STEPS)
        assert relative(own.latents, chain.latents[:, e : e + 1]) <= 1e-5
        alone = pipe.vary(own, prompts[e], seed=seeds[e])
        assert relative(alone.latents, batch.latents[e : e + 1, :1]) <= 1e-4
        assert np.abs(alone.images.astype(int) - batch.images[e : e + 1, :1]).max() <= 1


def test_a_place_in_the_batch_changes_nothing(pipe, photos, chain):
    prompts, seeds = ["a red car", "a blue house"], [3, 11]
    forward = pipe.vary(chain, prompts, num_variations=N, seed=seeds)
    swapped = pipe.invert(photos[::-1], chain.source_prompt[::-1], STEPS)
    backward = pipe.vary(swapped, prompts[::-1], num_variations=N, seed=seeds[::-1])
    assert relative(backward.latents[::-1], forward.latents) <= 1e-5
    start = np.random.default_rng(2).standard_normal((2, N, 8, 8, 4), np.float32)
    there, back = (pipe.vary(chain, prompts, num_variations=N, initial=x).latents for x in (start, start[:, ::-1]))
    assert relative(back[:, ::-1], there) <= 1e-5


def test_paired_is_shared_where_the_source_prompt_is_empty(pipe, photos, chain):
    for given, limits in ((pipe.invert(photos, "", STEPS), (0, 1e-4)), (chain, (1e-3, np.inf))):
        shared, paired = (
            pipe.vary(given, "a red car", num_variations=N, reference=reference).latents
            for reference in ("shared", "paired")
        )
        assert limits[0] <= relative(paired, shared) <= limits[1]


def test_aligned_latents_end_with_the_exemplar_s_statistics(pipe, chain):
    out = pipe.vary(chain, "a red car", align="latent", t_early=0, attention_start=0)
    for statistic in (np.mean, np.std):
        found, wanted = (statistic(x, axis=(-3, -2)) for x in (out.latents[:, 0], chain.latents[0]))
        np.testing.assert_allclose(found, wanted, rtol=2e-2, atol=1e-4)
