"""Concepts learnt here, loaded by torch diffusers: the same outputs, and the same latents in the end."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rival_jax import RivalPipeline, learn_concept

from . import reference
from .checkpoints import write_checkpoint
from .comparison import relative
from .oracle import Oracle
from .test_customised import ours, outputs, theirs

PROMPTS, STEPS = ["a red <sks>", "<sks> on grass"], 10


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("method", ["textual-inversion", "lora", "dreambooth"])
def test_diffusers_draws_the_same(tmp_path: Path, method: str) -> None:
    checkpoint = write_checkpoint("sd2_like", tmp_path / "model")
    photos = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    pipe = RivalPipeline.from_pretrained(checkpoint, "float32")
    rate = {"textual-inversion": 0.1, "lora": 0.05, "dreambooth": 1e-3}[method]
    few = {"num_steps": 5, "batch_size": 2, "learning_rate": rate}
    written = learn_concept(pipe, photos, tmp_path / "out", token="<sks>", method=method, **few)
    torch_pipe = theirs(written if method == "dreambooth" else checkpoint)
    if method == "textual-inversion":
        torch_pipe.load_textual_inversion(written.parent, weight_name=written.name)
        learnt = pipe.load_textual_inversion(written)
    elif method == "lora":
        torch_pipe.load_lora_weights(written.parent, weight_name=written.name)
        torch_pipe.fuse_lora()
        torch_pipe.unload_lora_weights()
        learnt = pipe.load_lora_weights(written)
    else:
        learnt = RivalPipeline.from_pretrained(written, "float32")
    found, expected, before = ours(learnt, PROMPTS), outputs(torch_pipe, PROMPTS), ours(pipe, PROMPTS)
    for one, other in zip(found, expected, strict=True):
        assert relative(one, other) <= 1e-5
    assert relative(before[1], expected[1]) > 1e-2

    embed = reference.embedder(torch_pipe.tokenizer, torch_pipe.text_encoder)
    config = json.loads((checkpoint / "scheduler" / "scheduler_config.json").read_text())
    oracle = Oracle(torch_pipe.unet, torch_pipe.vae, embed, config)
    out = learnt.vary(photos, PROMPTS, num_inference_steps=STEPS, seed=[1, 2])
    chain = oracle.invert(photos, PROMPTS, STEPS, "target")
    options = {"t_align": 600, "t_early": 300, "align": "latent", "guidance_scale": 5.0}
    latents = oracle.vary(chain, PROMPTS, PROMPTS, "", [1, 2], 1, **options)
    error = relative(out.latents, latents)
    print(f"\n{method}: {error:.1e}")
    assert error <= 1e-4
