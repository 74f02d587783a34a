"""Small random-weight checkpoints of the other kinds: SDXL, SD image variations, Stable unCLIP.

Each is a pipeline of diffusers, which also says what its networks are told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImageVariationPipeline,
    StableDiffusionXLPipeline,
    StableUnCLIPImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from .checkpoints import DOWN, UP, randomise, text_encoder, unet, vae, write_tokenizer
from .reference import Told

FEW = {
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": (DOWN[0], DOWN[-1]),
    "up_block_types": (UP[0], UP[1]),
    "attention_head_dim": 4,
}
"""Levels enough for what is told to be read."""
LEVELS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}
"""Random networks that predict v keep latents bounded; of noise they magnify rounding from level to level."""
XL_UNET = {
    "block_out_channels": (32, 64, 64),
    "down_block_types": (DOWN[-1], DOWN[0], DOWN[0]),
    "up_block_types": (UP[1], UP[1], UP[0]),
    "layers_per_block": 1,
    "attention_head_dim": (2, 4, 4),
    "transformer_layers_per_block": (1, 1, 2),
    "cross_attention_dim": 32 + 48,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 24 + 6 * 8,
}
XL_TEXT_2 = {"hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4, "projection_dim": 24}
VISION = {
    "image_size": 28,
    "patch_size": 7,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}

Tell = Callable[[str, np.ndarray | None], Told]
"""What is told of a prompt, and of a picture (H, W, 3) uint8 or of none."""


@dataclass(frozen=True)
class Kind:
    """A pipeline of diffusers in `directory`; `tell` is its own code."""

    pipe: Any
    directory: Path
    tell: Tell


def _tokenizer(directory: Path, pad_token: str) -> tuple[CLIPTokenizer, int]:
    vocabulary = write_tokenizer(directory, pad_token)
    return CLIPTokenizer.from_pretrained(directory), vocabulary


def _image_parts(width: int) -> dict[str, Any]:
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION, projection_dim=width))
    size = {"shortest_edge": VISION["image_size"]}
    crop = {"height": VISION["image_size"], "width": VISION["image_size"]}
    return {"image_encoder": encoder, "feature_extractor": CLIPImageProcessor(size=size, crop_size=crop)}


def _random(networks: dict[str, torch.nn.Module]) -> None:
    for seed, (name, network) in enumerate(networks.items()):
        randomise(network.eval(), torch.Generator().manual_seed(seed))
        if name == "vae":  # scaled latents of about unit size, as in trained checkpoints
            network.quant_conv.weight.data.div_(network.config.scaling_factor)
            network.post_quant_conv.weight.data.mul_(network.config.scaling_factor)


@torch.no_grad()
def sdxl(directory: Path) -> Kind:
    """Two text encoders, pooled text and sizes."""
    tokenizer, vocabulary = _tokenizer(directory / "words", "<|endoftext|>")
    tokenizer_2, _ = _tokenizer(directory / "words_2", "!")
    second = {"vocab_size": vocabulary, "num_hidden_layers": 3, "eos_token_id": 2, "hidden_act": "gelu"}
    networks = {
        "unet": unet("sd1_like", **XL_UNET),
        "vae": vae(scaling_factor=0.13025),
        "text_encoder": text_encoder("sd1_like", vocabulary),
        "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**(second | XL_TEXT_2))),
    }
    _random(networks)
    scheduler = EulerDiscreteScheduler(**LEVELS, timestep_spacing="leading", steps_offset=1)
    pipe = StableDiffusionXLPipeline(**networks, tokenizer=tokenizer, tokenizer_2=tokenizer_2, scheduler=scheduler)
    pipe.save_pretrained(directory / "model")

    @torch.no_grad()
    def tell(prompt: str, shown: np.ndarray | None) -> Told:
        tokens, nothing, pooled, pooled_nothing = pipe.encode_prompt(prompt or "a", device="cpu")
        size = None if shown is None else shown.shape[:2]
        ids = pipe._get_add_time_ids(size, (0, 0), size, tokens.dtype, XL_TEXT_2["projection_dim"])
        of_text = (tokens, pooled) if prompt else (nothing, pooled_nothing)
        return Told(of_text[0][0], {"text_embeds": of_text[1], "time_ids": ids})

    return Kind(pipe, directory / "model", tell)


@torch.no_grad()
def image_variations(directory: Path) -> Kind:
    """A picture in place of a prompt."""
    networks = {"unet": unet("sd1_like", **FEW), "vae": vae()} | _image_parts(32)
    extractor = networks.pop("feature_extractor")
    _random(networks)
    pipe = StableDiffusionImageVariationPipeline(
        **networks,
        feature_extractor=extractor,
        scheduler=DDIMScheduler(**LEVELS, steps_offset=1, clip_sample=False),
        safety_checker=None,
    )
    pipe.save_pretrained(directory / "model")

    @torch.no_grad()
    def tell(prompt: str, shown: np.ndarray | None) -> Told:
        image = Image.fromarray(np.zeros((32, 48, 3), np.uint8) if shown is None else shown)
        nothing, seen = pipe._encode_image(image, "cpu", 1, True)
        return Told(nothing if shown is None else seen)

    return Kind(pipe, directory / "model", tell)


@torch.no_grad()
def unclip(directory: Path) -> Kind:
    """A prompt, and a picture as a class."""
    tokenizer, vocabulary = _tokenizer(directory / "words", "<|endoftext|>")
    width = 20
    classes = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2 * width}
    networks = {
        "unet": unet("sd2_like", **FEW, **classes),
        "vae": vae(),
        "text_encoder": text_encoder("sd2_like", vocabulary),
        **_image_parts(width),
    }
    extractor = networks.pop("feature_extractor")
    _random(networks)
    normalizer = StableUnCLIPImageNormalizer(width)
    draw = torch.Generator().manual_seed(9)
    normalizer.mean.data.copy_(0.3 * torch.randn(1, width, generator=draw))
    normalizer.std.data.copy_(0.5 + torch.rand(1, width, generator=draw))
    scheduler = DDIMScheduler(**LEVELS, steps_offset=1, clip_sample=False)
    pipe = StableUnCLIPImg2ImgPipeline(
        **networks,
        feature_extractor=extractor,
        image_normalizer=normalizer,
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        tokenizer=tokenizer,
        scheduler=scheduler,
    )
    pipe.save_pretrained(directory / "model")

    @torch.no_grad()
    def tell(prompt: str, shown: np.ndarray | None) -> Told:
        tokens = pipe.encode_prompt(prompt, "cpu", 1, False)[0][0]
        if shown is None:
            return Told(tokens, classes=torch.zeros(1, 2 * width))
        pixels = pipe.feature_extractor(images=Image.fromarray(shown), return_tensors="pt").pixel_values
        seen = pipe.image_encoder(pixels).image_embeds
        level_0 = torch.cat([torch.ones(1, width // 2), torch.zeros(1, width // 2)], dim=1)
        return Told(tokens, classes=torch.cat([seen, level_0], dim=1))

    return Kind(pipe, directory / "model", tell)
