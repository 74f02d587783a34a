"""The names of tensors in checkpoints of one file: the layout of the authors' code (LDM, and sgm for SDXL).

There, blocks are numbered through; how many belong to a level is in the network's config. Each name is taken to today's
by aliases, so that the key table of a model directory serves for a file too.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from rival_jax.models.clip_config import TextConfig
from rival_jax.models.config import UNetConfig, VAEConfig
from rival_jax.weights.rules import Layout, Rule, Table

Aliases = tuple[tuple[str, str], ...]

PREFIXES = {
    "unet": ("model.diffusion_model.",),
    "vae": ("first_stage_model.",),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0."),
    "text_encoder_2": ("conditioner.embedders.1.",),
}
"""What the names of each network's tensors begin with."""

FUSED = (("in_proj_weight", "weight"), ("in_proj_bias", "bias"))
"""What OpenCLIP keeps of queries, keys and values in one tensor, in this order."""

UNUSED = (
    r"(.+\.)?model_ema\..+",
    r"alphas_cumprod(_prev)?|betas|log_one_minus_alphas_cumprod|(sqrt|posterior|lvlb)_\w+|logvar|denoiser\.sigmas",
    r"(cond_stage_model|conditioner\.embedders\.[01])\.(.+\.)?logit_scale",
    r"cond_stage_model\.(.+\.)?text_projection(\.weight)?",
)
"""Averages kept in training, noise levels, and what only CLIP's comparison of texts with images needs."""

_NOBODY = Rule("unused", "tensor", None)
_UNTRANSPOSED = Rule("text_projection", "kernel", "kernel", Layout((0, 1)))


def original(table: Table, config: Any) -> Table:
    """The table of a network, of this config, for its tensors in a checkpoint of one file."""
    names, rules = _LAYOUTS[type(config)](config)
    return replace(table, rules=(*table.rules, *rules), aliases=(*names, *table.aliases))


RESNET_LAYERS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
"""Today's names of what a residual block is made of, and there."""


def unet_places(config: UNetConfig) -> dict[str, str]:
    """Where each part of the UNet stands there, by today's names; attentions also where a level has none.

    A sampler between levels has a number of its own on the way down only.
    Source: CompVis/latent-diffusion, ldm/modules/diffusionmodules/openaimodel.py, `UNetModel`.
    """
    places = {
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    number = 1
    for block, count in enumerate(config.layers_per_block):
        for layer in range(count):
            places[f"down_blocks.{block}.resnets.{layer}"] = f"input_blocks.{number}.0"
            places[f"down_blocks.{block}.attentions.{layer}"] = f"input_blocks.{number}.1"
            number += 1
        places[f"down_blocks.{block}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    number = 0
    for block, (count, depth) in enumerate(zip(config.layers_per_block[::-1], config.up_depths[::-1], strict=True)):
        for layer in range(count + 1):
            places[f"up_blocks.{block}.resnets.{layer}"] = f"output_blocks.{number}.0"
            places[f"up_blocks.{block}.attentions.{layer}"] = f"output_blocks.{number}.1"
            number += 1
        places[f"up_blocks.{block}.upsamplers.0.conv"] = f"output_blocks.{number - 1}.{2 if depth else 1}.conv"
    return places


def _unet(config: UNetConfig) -> tuple[Aliases, tuple[Rule, ...]]:
    """Longer names first: a sampler may stand inside what would be an attention's place."""
    places = sorted(unet_places(config).items(), key=lambda item: len(item[1]), reverse=True)
    return (
        (r"^model\.diffusion_model\.", ""),
        *((rf"^{re.escape(there)}\.", f"{today}.") for today, there in places),
        *((rf"\.{re.escape(there)}\.", f".{today}.") for today, there in RESNET_LAYERS.items()),
    ), ()


def _vae(config: VAEConfig) -> tuple[Aliases, tuple[Rule, ...]]:
    """The decoder's levels are numbered from the finest to the coarsest, like the encoder's."""
    levels = len(config.block_out_channels)
    return (
        (r"^first_stage_model\.", ""),
        (r"^encoder\.down\.(\d+)\.", r"encoder.down_blocks.\1."),
        *((rf"^decoder\.up\.{level}\.", f"decoder.up_blocks.{levels - 1 - level}.") for level in range(levels)),
        (r"(_blocks\.\d+)\.block\.", r"\1.resnets."),
        (r"\.(down|up)sample\.conv\.", r".\1samplers.0.conv."),
        (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
        (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
        (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
        (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
        (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
        (r"\.nin_shortcut\.", ".conv_shortcut."),
        (r"coder\.norm_out\.", "coder.conv_norm_out."),
    ), ()


def _text(config: TextConfig) -> tuple[Aliases, tuple[Rule, ...]]:
    """CLIP's names are transformers'; OpenCLIP has its own, and a projection that is used as it is stored.

    Stable Diffusion 2 reads OpenCLIP's last layer but one: the config counts the layers without the last.
    """
    return (
        (rf"^cond_stage_model\.model\.transformer\.resblocks\.{config.num_hidden_layers}\..+", "unused.tensor"),
        (r"^(cond_stage_model|conditioner\.embedders\.0)\.transformer\.", ""),
        (r"^(cond_stage_model|conditioner\.embedders\.1)\.model\.(transformer\.)?", ""),
        (r"^resblocks\.(\d+)\.", r"encoder.layers.\1."),
        (r"\.ln_([12])\.", r".layer_norm\1."),
        (r"\.attn\.", ".self_attn."),
        (r"\.mlp\.c_fc\.", ".mlp.fc1."),
        (r"\.mlp\.c_proj\.", ".mlp.fc2."),
        (r"^ln_final\.", "final_layer_norm."),
        (r"^token_embedding\.", "embeddings.token_embedding."),
        (r"^positional_embedding$", "embeddings.position_embedding.weight"),
        (r"^text_projection$", "text_projection.kernel"),
    ), (_NOBODY, _UNTRANSPOSED)


_LAYOUTS = {UNetConfig: _unet, VAEConfig: _vae, TextConfig: _text}
