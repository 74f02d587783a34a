"""Counted operations: against XLA's own count, against counting by hand, and what the reuse saves."""

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from published import SD1, SD2

from rival_jax import RivalPipeline, sampling
from rival_jax.bench.flops import count, of_authors, of_ours
from rival_jax.bench.random_model import SIZES
from rival_jax.checkpoint import StableDiffusion
from rival_jax.conditioning import Conditioner, TextReader
from rival_jax.models.config import UNetConfig
from rival_jax.models.network import Network
from rival_jax.schedule import Schedule
from rival_jax.stages import Stage
from rival_jax.weights import UNET, VAE


def shaped(*shape, dtype=np.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def test_products_and_convolutions_by_hand():
    assert count(jnp.matmul, shaped(3, 5), shaped(5, 7)) == 2 * 3 * 5 * 7
    kernel, picture = shaped(3, 3, 4, 6), shaped(2, 8, 8, 4)

    def convolve(x, k):
        return jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    taps = (3 * 8 - 2) ** 2  # at either end of a side one tap falls on the padding
    assert count(convolve, picture, kernel) == 2 * 2 * 4 * 6 * taps
    assert count(lambda x: jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=9)[0], shaped(4, 4)) == 9 * 2 * 64


@pytest.fixture(scope="module")
def sd15():
    """Stable Diffusion 1.5 in shapes alone."""

    def abstract(part, config):
        network = nnx.eval_shape(lambda: part.module(config, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
        return Network(*nnx.split(network), config)

    configs = SIZES["sd15"]
    text = SimpleNamespace(length=77)
    unet, vae = (abstract(part, part.config.from_dict(configs[part.folder])) for part in (UNET, VAE))
    rest = {"schedule": Schedule(), "directory": Path(), "dtype": "bfloat16", "attention": None, "plans": {}}
    return StableDiffusion(unet=unet, vae=vae, conditioner=Conditioner((TextReader(unet, text),)), **rest)


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["replace", "concat"])
def test_a_step_against_the_compiler_at_the_size_of_stable_diffusion(sd15, attention):
    """Two variations and the reference, 512 pixels, as lowered; padding taps are left out on both sides."""
    program, *arguments = sampling.one_step(sd15.unet, (64, 64, 4), (77, 768), Stage(attention, "noise", 1, "dense"), 2)
    counted = count(program, *arguments)
    compilers = program.func.lower(*arguments, **program.keywords).cost_analysis()["flops"]
    print(f"{counted / 1e9:.1f} GFLOP, the compiler's {compilers / 1e9:.1f}")
    assert counted == pytest.approx(compilers, rel=0.03)


def test_half_the_authors_work(sd15):
    """16 variations, T = 50 of which 20 steps replace and 30 concatenate."""
    ours, kept, authors = (
        of(sd15, 16, 512, 512).run(20, 30, 16) for of in (of_ours, lambda *rest: of_ours(*rest, kept=True), of_authors)
    )
    print(f"{ours / authors:.4f}, {kept / authors:.4f} with cache_reference")
    assert ours / authors <= 0.52 and kept / authors <= 0.50


@pytest.fixture(scope="module")
def tiny():
    return RivalPipeline.from_pretrained("tiny", "float32")


def test_what_is_saved(tiny):
    """The more variations, the smaller the share of the authors' work; the cache saves one row a step."""
    shares = []
    for variations in (1, 4, 16):
        ours, authors, kept = (
            of(tiny, variations, 48, 48).run(20, 30, variations)
            for of in (of_ours, of_authors, lambda *rest: of_ours(*rest, kept=True))
        )
        assert kept < ours < authors
        shares.append(ours / authors)
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(("size", "published"), [("sd15", SD1), ("sd21", SD2)])
def test_random_models_have_the_published_configs(size, published):
    assert UNetConfig.from_dict(SIZES[size]["unet"]) == UNetConfig.from_dict(published)
