"""The embedded model in torch diffusers: its own pipeline reads the folder and draws the same picture."""

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from rival_jax import Chain, RivalPipeline
from rival_jax.evidence.settings import TEXT_TO_IMAGE
from rival_jax.weights import EMBEDDED

from .comparison import nchw, nhwc, relative

LIMIT = 1e-4


@torch.no_grad()
def test_text_to_image() -> None:
    ours = RivalPipeline.from_pretrained(EMBEDDED, "float32")
    theirs = StableDiffusionPipeline.from_pretrained(ours.directory, torch_dtype=torch.float32)
    theirs.set_progress_bar_config(disable=True)
    prompt, steps = "a red house on green grass", 10
    start = np.random.default_rng(0).standard_normal((1, 1, 12, 12, 4), np.float32)
    drawn = theirs(prompt, latents=nchw(start[0]), num_inference_steps=steps, guidance_scale=7.0, output_type="latent")
    options = TEXT_TO_IMAGE | {"initial": start, "guidance_scale": 7.0}
    nothing = np.zeros((steps + 1, 1, 12, 12, 4), np.float32), np.zeros((1, 48, 48, 3), np.uint8)
    out = ours.vary(Chain(*nothing, ("",), "target"), prompt, **options)
    error = relative(out.latents[0], nhwc(drawn.images))
    print(f"\nembedded model, {steps} steps: {error:.1e}")
    assert error <= LIMIT
    assert out.images.std() > 20
