"""Today's names of tensors back to those of the authors' code, for checkpoints in one file. Needs no torch."""

import re

import numpy as np

UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP, OPEN_CLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
XL_CLIP, XL_OPEN_CLIP = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


def unet(tensors, layers):
    """A UNet's tensors by the authors' names, where every level has so many layers."""
    with_attention = {name.rpartition(".attentions.")[0] for name in tensors if ".attentions." in name}
    return {UNET + _of_unet(name, layers, with_attention): tensor for name, tensor in tensors.items()}


def _of_unet(name, layers, with_attention):
    module, _, kind = name.rpartition(".")
    if module in _ENDS:
        return f"{_ENDS[module]}.{kind}"
    parts = name.split(".")
    if parts[0] == "mid_block":
        number, slot, rest = "middle_block", 2 * int(parts[2]) if parts[1] == "resnets" else 1, parts[3:]
        if parts[1] == "resnets":
            rest = [_RESNET[rest[0]], *rest[1:]]
        return ".".join([number, str(slot), *rest])
    level, role, place, rest = int(parts[1]), parts[2], int(parts[3]), parts[4:]
    first, blocks = (1, "input_blocks") if parts[0] == "down_blocks" else (0, "output_blocks")
    if role == "downsamplers":
        place, slot, rest = layers, 0, ["op", *rest[1:]]
    elif role == "upsamplers":
        place, slot = layers, 2 if f"up_blocks.{level}" in with_attention else 1
    elif role == "resnets":
        slot, rest = 0, [_RESNET[rest[0]], *rest[1:]]
    else:
        slot = 1
    return ".".join([blocks, str(first + level * (layers + 1) + place), str(slot), *rest])


def vae(tensors, levels, as_convolution=True):
    """An autoencoder's tensors by the authors' names; its attention is made of convolutions there."""
    named = {}
    for name, tensor in tensors.items():
        for new, old in (
            (r"coder\.conv_norm_out", "coder.norm_out"),
            (r"mid_block\.resnets\.0", "mid.block_1"),
            (r"mid_block\.resnets\.1", "mid.block_2"),
            (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
            (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
            (r"mid_block\.attentions\.0\.to_", "mid.attn_1."),
            (r"conv_shortcut", "nin_shortcut"),
            (r"down_blocks\.(\d+)\.resnets", r"down.\1.block"),
            (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
        ):
            name = re.sub(new, old, name)
        if found := re.match(r"decoder\.up_blocks\.(\d+)\.(resnets|upsamplers\.0)(.*)", name):
            role = {"resnets": "block", "upsamplers.0": "upsample"}[found[2]]
            name = f"decoder.up.{levels - 1 - int(found[1])}.{role}{found[3]}"
        pointwise = as_convolution and ".attn_1." in name and tensor.ndim == 2
        named[VAE + name] = tensor[..., None, None] if pointwise else tensor
    return named


def clip(tensors, prefix=CLIP):
    """A text encoder's tensors as CLIP itself names them."""
    return {f"{prefix}text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in tensors.items()}


def open_clip(tensors, prefix=OPEN_CLIP, concatenate=np.concatenate):
    """A text encoder's tensors as OpenCLIP names them; a projection is transposed, attention's inputs are fused."""
    named, parts = {}, {}
    for name, tensor in tensors.items():
        name = name.removeprefix("text_model.")
        if found := re.match(r"(encoder\.layers\.\d+\.self_attn\.)([qkv])_proj\.(\w+)", name):
            parts.setdefault((found[1], found[3]), {})[found[2]] = tensor
            continue
        named[prefix + _of_open_clip(name)] = tensor.T if name == "text_projection.weight" else tensor
    for (layer, kind), tensor in parts.items():
        fused = concatenate([tensor[letter] for letter in "qkv"])
        named[f"{prefix}{_of_open_clip(layer)}in_proj_{kind}"] = fused
    return named


def _of_open_clip(name):
    for new, old in (
        ("encoder.layers.", "transformer.resblocks."),
        ("self_attn.", "attn."),
        ("layer_norm", "ln_"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
        ("final_ln_", "ln_final"),
        ("embeddings.position_embedding.weight", "positional_embedding"),
        ("embeddings.token_embedding", "token_embedding"),
        ("text_projection.weight", "text_projection"),
    ):
        name = name.replace(new, old)
    return name
