"""The key tables of Stable Diffusion checkpoints: torch's names and layouts, and diffusers' former Flax ones.

The networks here are named like diffusers' and transformers' own, so a table is a handful of rules by suffix.
"""

from __future__ import annotations

from rival_jax.weights.rules import Layout, Rule, Table

CONV = Layout((2, 3, 1, 0))
"""(out, in, y, x) to (y, x, in, out)."""

LINEAR = Layout((1, 0))
"""(out, in) to (in, out)."""

POINTWISE = Layout((2, 3, 1, 0), drop=2)
"""A dense layer stored as a convolution of one pixel: (out, in, 1, 1) to (in, out)."""

EMBEDDING = Layout((0, 1))
VECTOR = Layout((0,))

_NORM_AND_BIAS = (
    Rule(r"\w*norm\w*", "weight", "scale", VECTOR),
    Rule(r"[\w.]+", "bias", "bias", VECTOR),
)
_CONV = Rule(
    r"conv|conv\d|conv_in|conv_out|conv_shortcut|proj_in|proj_out|quant_conv|post_quant_conv", "weight", "kernel", CONV
)
_ATTENTION = r"to_[qkv]|to_out\.0"

_OLD_ATTENTION = (
    (r"\.query\.", ".to_q."),
    (r"\.key\.", ".to_k."),
    (r"\.value\.", ".to_v."),
    (r"\.proj_attn\.", ".to_out.0."),
)
"""The former names of the autoencoder's attention, found in most SD 1.x and 2.x checkpoints."""

_TEXT_PREFIX = (r"^text_model\.", "")
"""Written by transformers 4, no longer by 5."""

UNET = Table(
    (
        _CONV,
        Rule(rf"{_ATTENTION}|proj_in|proj_out|net\.0\.proj|net\.2|linear_\d|time_emb_proj", "weight", "kernel", LINEAR),
        *_NORM_AND_BIAS,
    )
)

CONTROLNET = Table(
    (
        Rule(r"blocks\.\d+|controlnet_down_blocks\.\d+|controlnet_mid_block", "weight", "kernel", CONV),
        *UNET.rules,
    )
)

VAE = Table(
    (
        _CONV,
        Rule(_ATTENTION, "weight", "kernel", LINEAR),
        Rule(_ATTENTION, "weight", "kernel", POINTWISE),
        *_NORM_AND_BIAS,
    ),
    aliases=_OLD_ATTENTION,
)

TEXT = Table(
    (
        Rule(r"token_embedding|position_embedding", "weight", "embedding", EMBEDDING),
        Rule(r"[qkv]_proj|out_proj|fc\d", "weight", "kernel", LINEAR),
        Rule(r"embeddings", "position_ids", None),
        *_NORM_AND_BIAS,
    ),
    aliases=(_TEXT_PREFIX,),
    prefix="text_model.",
)

TEXT_PROJECTED = Table((*TEXT.rules, Rule("text_projection", "weight", "kernel", LINEAR)), aliases=TEXT.aliases)
"""SDXL's second text encoder."""

CLIP = Table(
    (
        *TEXT.rules,
        Rule(r"embeddings", "class_embedding", "class_embedding", VECTOR),
        Rule(r"patch_embedding", "weight", "kernel", CONV),
        Rule(r"text_projection|visual_projection", "weight", "kernel", LINEAR),
        Rule(r"temperature", "logit_scale", None),
    ),
    aliases=((r"^logit_scale$", "temperature.logit_scale"),),
)

IMAGE = Table(CLIP.rules)
"""The image encoder of image variation models, Stable unCLIP and IP-Adapters."""

IP_ADAPTER = Table(
    (
        Rule(r"image_proj", "latents", "latents", Layout((0, 1, 2))),
        Rule(r"proj|proj_in|proj_out|to_q|to_kv|to_out|to_[kv]_ip|1\.[13]", "weight", "kernel", LINEAR),
        Rule(r"1\.0", "weight", "scale", VECTOR),
        *_NORM_AND_BIAS,
    )
)
"""`1.0`, `1.1` and `1.3` are the norm and the dense layers of a resampler's MLP."""

_SAFETY_NAMES = (
    (r"^vision_model\.vision_model\.", "vision_model."),  # transformers 4
    (r"^(concept|special_care)_embeds$", r"\1.embeds"),
    (r"^(concept|special_care)_embeds_weights$", r"\1.weights"),
)

SAFETY = Table(
    (
        *CLIP.rules,
        Rule(r"concept|special_care", "embeds", "embeds", EMBEDDING),
        Rule(r"concept|special_care", "weights", "weights", VECTOR),
    ),
    aliases=_SAFETY_NAMES,
)

CLASSIFIER = Table((_CONV, Rule(r"objects|colours", "weight", "kernel", LINEAR), *_NORM_AND_BIAS))
"""Not of Stable Diffusion: the embedded recogniser, named in the same way."""

FLAX = Table(
    tuple(
        Rule(r"[\w.]+", leaf, leaf)
        for leaf in ("kernel", "bias", "scale", "embedding", "class_embedding", "embeds", "weights")
    ),
    aliases=(
        _TEXT_PREFIX,
        *_SAFETY_NAMES,
        (r"\b(\w*blocks|resnets|attentions|downsamplers|upsamplers|to_out|net)_(\d+)\.", r"\1.\2."),
        *_OLD_ATTENTION,
    ),
)
"""`*.msgpack`, all parts: leaves are already named and laid out like ours, list items are `name_0`."""
