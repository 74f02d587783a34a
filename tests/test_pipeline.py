"""The Python API: what comes back, what is compiled, what is refused."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from rival_jax import InputError, RivalPipeline

SOURCES = ("a red house", "a blue car")
STEPS, N = 4, 2


@pytest.fixture(scope="module")
def out(pipe, chain):
    return pipe.vary(chain, "a red car", num_variations=N)


def test_what_comes_back(pipe, photos, chain, out):
    assert chain.latents.shape == (STEPS + 1, 2, 8, 8, 4) and chain.latents.dtype == np.float32
    assert chain.pixels.dtype == np.uint8 and (chain.pixels == photos).all()
    assert (chain.source_prompt, chain.timestep_convention) == (SOURCES, "target")
    assert chain.num_inference_steps == STEPS
    assert out.images.shape == (2, N, 16, 16, 3) and out.images.dtype == np.uint8
    assert out.latents.shape == (2, N, 8, 8, 4) and out.latents.dtype == np.float32
    assert out.chain is chain
    assert (np.asarray(out.pil[1][0]) == out.images[1, 0]).all()
    pictures = pipe.reconstruct(chain)
    assert pictures.shape == photos.shape and pictures.dtype == np.uint8


def test_the_chain_starts_at_the_encoded_pictures(pipe, photos, chain):
    """The posterior's mean times the scaling factor, of pixels in [-1, 1]."""
    vae = pipe.vae.module()
    expected = 0.18215 * vae.encode(jnp.asarray(photos / 127.5 - 1, jnp.float32))
    np.testing.assert_allclose(chain.latents[0], expected, rtol=1e-4, atol=1e-5)


def test_pictures_are_the_decoded_latents(pipe, out):
    decoded = pipe.vae.module().decode(out.latents[:, 0] / 0.18215)
    expected = np.round(np.clip(np.asarray(decoded) * 127.5 + 127.5, 0, 255))
    assert np.abs(out.images[:, 0] - expected).max() <= 1
    assert out.images.std() > 10


def test_photos_or_their_chain(pipe, photos, chain):
    """Photos are inverted with the prompt, or with the source prompt that is given, and the same numbers come out."""
    options = {"num_variations": N, "num_inference_steps": STEPS, "seed": [1, 2]}
    straight = pipe.vary(photos, SOURCES, **options)
    np.testing.assert_array_equal(straight.chain.latents, chain.latents)
    np.testing.assert_array_equal(straight.latents, pipe.vary(chain, SOURCES, num_variations=N, seed=[1, 2]).latents)
    other = pipe.vary(list(photos), "grass", source_prompt=list(SOURCES), **options)
    np.testing.assert_array_equal(other.latents, pipe.vary(chain, "grass", num_variations=N, seed=[1, 2]).latents)


def test_photos_of_any_kind(pipe, photos, chain, tmp_path):
    Image.fromarray(photos[0]).save(tmp_path / "a.png")
    mixed = [str(tmp_path / "a.png"), Image.fromarray(photos[1])]
    np.testing.assert_array_equal(pipe.invert(mixed, SOURCES, STEPS).latents, chain.latents)


def test_a_run_repeats_bit_for_bit_and_other_arguments_change_it(pipe, chain, out):
    same = {"prompt": "a red car", "num_variations": N}
    again = pipe.vary(chain, **same, seed=[0, 0], guidance_scale=5, t_align=600.0)
    np.testing.assert_array_equal(again.latents, out.latents)
    for change in ({"seed": 1}, {"guidance_scale": 3.0}, {"negative_prompt": "blue"}, {"prompt": "a house"}):
        assert not np.allclose(pipe.vary(chain, **(same | change)).latents, out.latents, atol=1e-3), change


def test_a_second_call_compiles_nothing(pipe, photos, chain, out, compilations):
    before = compilations()
    other = pipe.invert(255 - photos, ["grass", "a blue house on grass"], STEPS)
    pipe.vary(
        other,
        ["a blue house", "red"],
        negative_prompt=["car", ""],
        num_variations=N,
        guidance_scale=2.5,
        seed=[7, 2**32 - 1],
        t_align=700.5,  # between the same two timesteps
    )
    pipe.vary(photos, "a car", num_variations=N, num_inference_steps=STEPS)
    assert compilations() == before


@pytest.mark.parametrize("scales", [(3.0, 7.5), ((3.0, 7.5), (1.0, -2.0))])
@pytest.mark.parametrize("align", ["latent", "noise"])
def test_guidance_of_each_its_own(pipe, chain, scales, align):
    """One an exemplar, or one a variation: what each makes with that number for all."""
    options = {"num_variations": N, "align": align, "t_early": 0}
    own = pipe.vary(chain, "a red car", guidance_scale=scales, **options).latents
    for (e, n), scale in np.ndenumerate(np.broadcast_to(np.reshape(scales, (2, -1)), (2, N))):
        alone = pipe.vary(chain, "a red car", guidance_scale=scale, **options).latents
        np.testing.assert_array_equal(own[e, n], alone[e, n])


@pytest.mark.parametrize(("exemplars", "variations"), [(3, 1), pytest.param(1, 3, marks=pytest.mark.slow)])
def test_guidance_over_two_devices_of_which_one_has_less(pipe, photos, exemplars, variations):
    """Three exemplars, or three variations, are filled up to four."""
    chain = pipe.invert(np.concatenate([photos, 255 - photos])[:exemplars], "a house", STEPS)
    scales = np.arange(2, 5, dtype=np.float32).reshape(exemplars, variations)
    options = {"num_variations": variations}
    own = pipe.vary(chain, "a car", guidance_scale=scales, **options).latents
    assert own.shape[:2] == scales.shape and jax.local_device_count() == 2
    for place, scale in np.ndenumerate(scales):
        alone = pipe.vary(chain, "a car", guidance_scale=scale, **options).latents
        np.testing.assert_array_equal(own[place], alone[place])


def test_other_guidance_compiles_nothing(pipe, chain, out, compilations):
    """However it is given."""
    given = 3, [3.0, 4.0], np.full((2, N), 2.5), jnp.ones(2), [[1, 2], [3, 4]]
    before = compilations()
    for scales in given:
        pipe.vary(chain, "a red car", num_variations=N, guidance_scale=scales)
    assert compilations() == before


def test_another_size_compiles_anew(pipe, photos, compilations):
    """Which also shows that the counter counts."""
    before = compilations()
    chain = pipe.invert(photos, "", STEPS, height=20, width=32)
    assert chain.latents.shape == (STEPS + 1, 2, 10, 16, 4) and chain.pixels.shape == (2, 20, 32, 3)
    assert compilations() >= before + 2


def test_the_current_convention_tells_the_lower_timestep(pipe, photos, chain, compilations):
    """Its first step is told 0 instead of the first timestep; nothing compiles anew."""
    before = compilations()
    current = pipe.invert(photos, SOURCES, STEPS, "current")
    assert compilations() == before and current.timestep_convention == "current"
    np.testing.assert_array_equal(current.latents[0], chain.latents[0])
    assert not np.allclose(current.latents[-1], chain.latents[-1], atol=1e-3)


def test_progress(pipe, photos):
    calls = []
    pipe.vary(photos, SOURCES, num_variations=N, num_inference_steps=STEPS, progress=lambda *call: calls.append(call))
    assert calls == [
        *(("inversion", done, 4) for done in (0, 4)),
        *(("generation", done, 4) for done in (0, 1, 2, 4)),
    ]


def test_given_initial_latents_are_used_as_they_are(pipe, chain, out, compilations):
    with pytest.warns(UserWarning, match="are the same picture"):
        named = np.asarray(pipe.vary(chain, "a car", num_variations=N, initial="inverted").latents)
    start = np.repeat(np.asarray(chain.latents)[-1][:, None], N, axis=1)
    arrays = start, start.astype(np.float64), jnp.asarray(start)
    pipe.vary(chain, "a car", num_variations=N, initial=start)  # arrays are moved by small programs of their own
    before = compilations()
    for array in arrays:
        given = pipe.vary(chain, "a car", num_variations=N, initial=array)
        np.testing.assert_array_equal(np.asarray(given.latents), named)
    assert compilations() == before


def test_the_inverted_start_is_warned_of_only_where_nothing_else_differs(pipe, chain):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = pipe.vary(chain, "a car", num_variations=N, initial="inverted", guidance_scale=[range(N)] * 2)
    assert len(np.unique(out.latents[0], axis=0)) == N


CONTRADICTIONS = [
    {"num_inference_steps": 5},
    {"source_prompt": "a red house"},
    {"timestep_convention": "current"},
    {"height": 32},
    {"width": 32},
]
BAD = [
    {"prompt": ["a car"] * 3},
    {"prompt": 3},
    {"prompt": ["a car", None]},
    {"negative_prompt": ["", "", ""]},
    {"num_variations": 0},
    {"num_variations": 1.5},
    {"guidance_scale": float("nan")},
    {"guidance_scale": "7"},
    {"guidance_scale": [5.0, float("nan")]},
    {"guidance_scale": np.full((2, N), np.inf)},
    {"guidance_scale": [5.0] * 3},
    {"guidance_scale": np.ones((N + 1, 2))},
    {"guidance_scale": [[1.0, 2.0], [3.0]]},
    {"guidance_scale": [None, None]},
    {"t_align": 1001},
    {"t_early": -1},
    {"t_align": float("nan")},
    {"attention_start": "late"},
    {"initial": "zeros"},
    {"initial": np.zeros((2, 3, 8, 8, 4), np.float32)},
    {"initial": np.full((2, N, 8, 8, 4), np.nan)},
    {"initial": [1, 2]},
    {"reference": "both"},
    {"align": None},
    {"seed": -1},
    {"seed": 2**32},
    {"seed": 1.5},
    {"seed": [1, 2, 3]},
    {"seed": "lucky"},
]


@pytest.mark.parametrize("change", CONTRADICTIONS + BAD, ids=lambda change: next(iter(change)))
def test_bad_arguments_are_named_before_compiling(pipe, chain, compilations, change):
    before = compilations()
    with pytest.raises(InputError) as error:
        pipe.vary(chain, **({"prompt": "a car", "num_variations": N} | change))
    assert next(iter(change)) in str(error.value) and "\n" not in str(error.value)
    assert compilations() == before


@pytest.mark.parametrize(
    "change",
    [
        {"num_inference_steps": 0},
        {"num_inference_steps": 1000},
        {"num_inference_steps": 2.0},
        {"timestep_convention": "both"},
        {"source_prompt": ["a", "b", "c"]},
        {"height": 17},
        {"width": 0},
        {"width": "16"},
    ],
)
def test_bad_inversions_are_named_before_compiling(pipe, photos, compilations, change):
    before = compilations()
    with pytest.raises(InputError, match=next(iter(change))):
        pipe.invert(photos, **change)
    with pytest.raises(InputError, match=next(iter(change))):
        pipe.vary(photos, "a car", **change)
    assert compilations() == before


def test_what_agrees_with_the_chain_may_be_repeated(pipe, chain, out):
    agreeing = {"source_prompt": list(SOURCES), "num_inference_steps": STEPS, "timestep_convention": "target"}
    again = pipe.vary(chain, "a red car", num_variations=N, **agreeing, height=16, width=16)
    np.testing.assert_array_equal(again.latents, out.latents)


def test_a_chain_of_another_model(pipe, chain):
    foreign = replace(chain, latents=chain.latents[..., :3])
    with pytest.raises(InputError, match=r"\(8, 8, 3\)"):
        pipe.vary(foreign, "a car")


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_half_precision(checkpoint, photos, chain, dtype):
    """Weights of UNet and text encoder in 16 bits; the autoencoder, latents and the chain stay float32."""
    half = RivalPipeline.from_pretrained(checkpoint, dtype)
    for network, expected in ((half.unet, dtype), (half.text_encoder, dtype), (half.vae, "float32")):
        assert {leaf.dtype for leaf in jax.tree.leaves(network.state)} == {jnp.dtype(expected)}
    rough = half.invert(photos, SOURCES, STEPS)
    assert rough.latents.dtype == np.float32
    np.testing.assert_array_equal(rough.latents[0], chain.latents[0])
    error = np.linalg.norm(rough.latents - chain.latents) / np.linalg.norm(chain.latents)
    assert 0 < error < 0.1
    assert np.isfinite(half.vary(rough, "a car", num_variations=N).latents).all()


def test_pictures_smaller_than_a_photo_may_be(pipe, photos):
    """Photos have a smallest size, pictures only the model's factor."""
    out = pipe.vary(photos[:1], "a car", num_inference_steps=1, height=8, width=8)
    assert out.images.shape == (1, 1, 8, 8, 3)


def test_a_chain_that_was_kept_in_a_file(pipe, chain, tmp_path):
    """Latents come back as NumPy's."""
    np.save(tmp_path / "latents.npy", chain.latents)
    kept = replace(chain, latents=np.load(tmp_path / "latents.npy"))
    start = np.repeat(kept.latents[-1][:, None], N, axis=1)
    for initial in ("shuffle", start):
        options = {"num_variations": N, "initial": initial}
        again, first = (pipe.vary(each, "a car", **options).latents for each in (kept, chain))
        np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(pipe.reconstruct(kept), pipe.reconstruct(chain))


def test_numbers_may_be_arrays_of_one(pipe, chain, out):
    scalars = {"guidance_scale": jnp.float32(5), "t_align": np.int64(600), "t_early": jnp.int32(300)}
    np.testing.assert_array_equal(pipe.vary(chain, "a red car", num_variations=N, **scalars).latents, out.latents)
    halves = jnp.zeros((2, N, 8, 8, 4), jnp.bfloat16)
    assert pipe.vary(chain, "a car", num_variations=N, initial=halves).latents.shape == halves.shape


def test_a_pipeline_prints_in_one_line(pipe):
    assert "M parameters" in repr(pipe) and len(repr(pipe)) < 2000


def test_watching_changes_nothing(pipe, chain, out):
    seen = []
    watched = pipe.vary(chain, "a red car", num_variations=N, watch=lambda *call: seen.append(call))
    assert [index for index, _ in seen] == [4, 3, 2, 1, 0]
    np.testing.assert_allclose(watched.latents, out.latents, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(seen[-1][1], watched.latents)
