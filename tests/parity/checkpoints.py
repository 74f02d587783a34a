"""Small random-weight checkpoints in the layout that diffusers publishes, with the configs of SD 1.x and SD 2.x."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

DOWN = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
UP = ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")

UNETS = {
    "sd1_like": {
        "block_out_channels": (32, 64, 64, 64),
        "attention_head_dim": 8,  # in these configs the number of heads
        "cross_attention_dim": 32,
        "norm_num_groups": 32,
    },
    "sd2_like": {
        "block_out_channels": (32, 64, 96, 96),
        "attention_head_dim": (2, 4, 6, 6),
        "cross_attention_dim": 48,
        "norm_num_groups": 8,
        "use_linear_projection": True,
        "upcast_attention": True,
    },
}

TEXT_ENCODERS = {
    "sd1_like": {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 4, "hidden_act": "quick_gelu"},
    "sd2_like": {"hidden_size": 48, "intermediate_size": 192, "num_attention_heads": 3, "hidden_act": "gelu"},
}

SCHEDULERS = {
    "sd1_like": {
        "_class_name": "PNDMScheduler",
        "_diffusers_version": "0.6.0",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    },
    "sd2_like": {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": "0.8.0",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction",
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    },
}

SMALL = {
    "unet": {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": (DOWN[0], DOWN[-1]),
        "up_block_types": (UP[0], UP[-1]),
    },
    "vae": {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4},
    "text_encoder": {"num_hidden_layers": 1},
    "heads": {"sd1_like": 2, "sd2_like": (1, 2)},
}
"""What makes a checkpoint small enough to be kept in the repository."""

MERGES = ("r e", "re d</w>", "h o", "u s", "ho us", "hous e</w>", "g r", "o n</w>", "a s", "as s</w>", "gr ass</w>")


def write_checkpoint(
    kind: str, directory: str | Path, prediction_type: str | None = None, seed: int = 0, small: bool = False
) -> Path:
    """Writes the checkpoint `kind` ("sd1_like", "sd2_like") into `directory` and returns that.

    Pictures are 32 x 32, latents 16 x 16 x 4. `prediction_type` overrides the one of the scheduler config. A `small`
    one has a tenth of the parameters, in float16.
    """
    directory = Path(directory)
    vocabulary = write_tokenizer(
        directory / "tokenizer", pad_token={"sd1_like": "<|endoftext|>", "sd2_like": "!"}[kind]
    )
    scheduler = SCHEDULERS[kind] | ({"prediction_type": prediction_type} if prediction_type else {})
    write_json(directory / "scheduler" / "scheduler_config.json", scheduler)
    write_json(directory / "model_index.json", model_index(scheduler["_class_name"]))
    models = {
        "unet": unet(kind, **(SMALL["unet"] | {"attention_head_dim": SMALL["heads"][kind]} if small else {})),
        "vae": vae(**(SMALL["vae"] if small else {})),
        "text_encoder": text_encoder(kind, vocabulary, **(SMALL["text_encoder"] if small else {})),
    }
    for position, (name, model) in enumerate(models.items()):
        randomise(model, torch.Generator().manual_seed(1000 * seed + position))
        if name == "vae":  # scaled latents of about unit size, as in trained checkpoints
            model.quant_conv.weight.data.div_(model.config.scaling_factor)
            model.post_quant_conv.weight.data.mul_(model.config.scaling_factor)
        if small:
            model.half()
        model.save_pretrained(directory / name, safe_serialization=True)
    return directory


def unet(kind: str, **changes) -> UNet2DConditionModel:
    """The UNet of `kind`, with the four block kinds of SD 1.x and 2.x."""
    config = {
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 2,
        "down_block_types": DOWN,
        "up_block_types": UP,
    }
    return UNet2DConditionModel(**(config | UNETS[kind] | changes))


def vae(**changes) -> AutoencoderKL:
    """The autoencoder: two levels, so a latent is half as wide as its picture."""
    config = {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "sample_size": 32,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "block_out_channels": (32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "scaling_factor": 0.18215,
    }
    return AutoencoderKL(**(config | changes))


def text_encoder(kind: str, vocabulary: int, **changes) -> CLIPTextModel:
    """The text encoder of `kind`; its token ids are as wrong as in the published configs (`eos_token_id` 2)."""
    config = {
        "vocab_size": vocabulary,
        "max_position_embeddings": 77,
        "num_hidden_layers": 3,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    return CLIPTextModel(CLIPTextConfig(**(config | TEXT_ENCODERS[kind] | changes)))


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Draws every parameter anew, norms and biases included.

    Outputs are of about unit size; embeddings and residual branches are small, so that a wrong epsilon of a norm shows.
    """
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.1 * noise
        elif parameter.ndim <= 1:  # the scale of a norm
            value = 1 + 0.2 * noise
        elif "embedding.weight" in name:  # token and position tables
            value = 0.1 * noise
        else:
            gain = 0.3 if "resnets" in name else 1.0
            value = gain * noise / parameter[0].numel() ** 0.5
        parameter.data.copy_(value)


def write_tokenizer(directory: Path, pad_token: str) -> int:
    """Writes a CLIP tokenizer of single bytes and a few merges; returns the size of its vocabulary."""
    letters = byte_letters()
    merged = ["".join(merge.split()) for merge in MERGES]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *merged, "<|startoftext|>", "<|endoftext|>"]
    write_json(directory / "vocab.json", {token: number for number, token in enumerate(tokens)})
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]) + "\n", encoding="utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = pad_token
    write_json(directory / "special_tokens_map.json", special)
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "errors": "replace"}
    write_json(directory / "tokenizer_config.json", settings | special)
    return len(tokens)


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for bytes in CLIP's vocabulary, in CLIP's order ("!" is 0)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(code) for code in printable] + [chr(256 + number) for number in range(256 - len(printable))]


def model_index(scheduler: str) -> dict:
    """What `model_index.json` says about the parts."""
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.6.0",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def write_json(path: Path, value: dict) -> None:
    """Writes `value` to `path`, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
