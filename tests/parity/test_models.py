"""Every network against its torch original, float32, on random weights read by the real loader.

`pytest -m parity tests/parity/test_models.py -s` prints the errors that are reached.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from flax import nnx
from transformers import CLIPTextModel

from rival_jax import weights
from rival_jax.models.vae import VAE

from .checkpoints import write_checkpoint
from .comparison import nchw, nhwc, relative

LIMIT = 1e-5


@pytest.fixture(scope="module", params=["sd1_like", "sd2_like"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(request.param, tmp_path_factory.mktemp(request.param))


def network(checkpoint: Path, part: weights.Part) -> nnx.Module:
    plan = weights.plan(checkpoint, part, jnp.float32)
    return nnx.merge(plan.graphdef, weights.load_state(plan))


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def check(what: str, checkpoint: Path, ours: jax.Array, theirs: np.ndarray) -> None:
    assert ours.dtype == jnp.float32
    error = relative(ours, theirs)
    print(f"\n{checkpoint.name} {what}: {error:.1e}")
    assert error <= LIMIT


@torch.no_grad()
def test_unet(checkpoint: Path) -> None:
    ours = network(checkpoint, weights.UNET)
    theirs = UNet2DConditionModel.from_pretrained(checkpoint / "unet")
    x, timestep = draw(3, 16, 24, 4), np.array([1, 501, 981], np.int32)
    text = draw(3, 77, theirs.config.cross_attention_dim, seed=1)
    expected = theirs(nchw(x), torch.from_numpy(timestep), torch.from_numpy(text)).sample
    predicted = nnx.jit(ours)(jnp.asarray(x), jnp.asarray(timestep), jnp.asarray(text))
    check("unet", checkpoint, predicted, nhwc(expected))


@torch.no_grad()
def test_vae(checkpoint: Path) -> None:
    ours = network(checkpoint, weights.VAE)
    theirs = AutoencoderKL.from_pretrained(checkpoint / "vae")
    pixels, latents = np.tanh(draw(2, 32, 48, 3)), 5 * draw(2, 16, 24, 4, seed=1)
    mean = theirs.encode(nchw(pixels)).latent_dist.mean
    check("vae encode", checkpoint, nnx.jit(VAE.encode)(ours, jnp.asarray(pixels)), nhwc(mean))
    decoded = theirs.decode(nchw(latents)).sample
    check("vae decode", checkpoint, nnx.jit(VAE.decode)(ours, jnp.asarray(latents)), nhwc(decoded))


@torch.no_grad()
def test_text_encoder(checkpoint: Path) -> None:
    ours = network(checkpoint, weights.TEXT_ENCODER)
    theirs = CLIPTextModel.from_pretrained(checkpoint / "text_encoder")
    ids = np.random.default_rng(0).integers(0, theirs.config.vocab_size, (2, 77), dtype=np.int32)
    expected = theirs(torch.from_numpy(ids).long()).last_hidden_state
    check("text encoder", checkpoint, nnx.jit(ours)(jnp.asarray(ids)), expected.numpy())
