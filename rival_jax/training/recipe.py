"""What the embedded model is made of and how long each part trains: the one place to change it."""

from __future__ import annotations

from dataclasses import dataclass, field

from rival_jax.metrics.recogniser import ClassifierConfig
from rival_jax.models.clip_config import CLIPConfig
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.training.colours import COLOURS
from rival_jax.training.objects import OBJECTS

PICTURE = 48
"""Side of a training picture, in pixels."""

UNET_JSON = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 12,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [64, 128],
    "layers_per_block": 1,
    "attention_head_dim": 4,
    "cross_attention_dim": 128,
    "norm_num_groups": 16,
    "act_fn": "silu",
}

VAE_JSON = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [32, 64, 64],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "sample_size": PICTURE,
    "act_fn": "silu",
    "scaling_factor": 1.0,
}

TEXT_JSON = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}

VISION_JSON = {
    "model_type": "clip_vision_model",
    "image_size": PICTURE,
    "patch_size": 8,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
PROJECTION = 128
"""Width of the space in which texts and pictures are compared."""

CLASSIFIER_JSON = {
    "sample_size": PICTURE,
    "block_out_channels": [64, 128, 128],
    "objects": sorted(OBJECTS),
    "colours": sorted(COLOURS),
}

SCHEDULER_JSON = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
}


@dataclass(frozen=True)
class Phase:
    """One network's training: updates, pictures an update, peak learning rate, decay of the averaged weights."""

    steps: int
    batch: int
    learning_rate: float
    ema: float


@dataclass(frozen=True)
class Recipe:
    """The whole training. Every random choice follows from `seed`."""

    pictures: int = 50_000
    textures: int = 10_000
    seed: int = 0
    clip: Phase = field(default=Phase(steps=900, batch=128, learning_rate=1e-3, ema=0.99))
    vae: Phase = field(default=Phase(steps=10_000, batch=8, learning_rate=2e-3, ema=0.998))
    unet: Phase = field(default=Phase(steps=9_000, batch=40, learning_rate=1e-3, ema=0.998))
    judge: Phase = field(default=Phase(steps=1500, batch=128, learning_rate=1e-3, ema=0.99))
    recogniser: Phase = field(default=Phase(steps=1000, batch=128, learning_rate=1e-3, ema=0.99))
    drawings: int = 20_000
    texture_share: float = 0.2
    caption_dropout: float = 0.1

    def unet_config(self) -> UNetConfig:
        return UNetConfig.from_dict(UNET_JSON)

    def vae_config(self) -> VAEConfig:
        return VAEConfig.from_dict(VAE_JSON)

    def classifier_config(self) -> ClassifierConfig:
        return ClassifierConfig.from_dict(CLASSIFIER_JSON)

    def clip_config(self, vocab_size: int) -> CLIPConfig:
        text = TEXT_JSON | {"vocab_size": vocab_size}
        config = {"text_config": text, "vision_config": VISION_JSON, "projection_dim": PROJECTION}
        return CLIPConfig.from_dict(config)
