"""Checkpoints in one file: which networks are inside, and where their configs come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rival_jax.errors import InputError
from rival_jax.models.config import UNetConfig
from rival_jax.weights.headers import index
from rival_jax.weights.locate import FILES, resolve
from rival_jax.weights.original_keys import FUSED, PREFIXES, UNUSED
from rival_jax.weights.stored import Stored

_CONFIGS = {
    "sd1": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd2": "stabilityai/stable-diffusion-2-1",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
}
"""Whose configs, tokenizer and scheduler config a file of each kind is read with, where no others are named."""

_NAMES = {"unet": "the UNet", "vae": "the VAE", "text_encoder": "the text encoder"}

_OTHERS = (
    (r"lora_|\.lora[._]|\.(alpha|hada_w1_a|lokr_w1)$", "a LoRA, which is an addition to a model"),
    (r"^control_model\.|^controlnet_", "a ControlNet, which is an addition to a model"),
    (r"^string_to_|^emb_params$|^clip_[lg]$", "a textual inversion, which is an addition to a model"),
    (r"^(encoder|decoder)\.(down|up|mid|conv_in)", "a VAE alone"),
    (r"^(down_blocks|up_blocks|mid_block)\.", "one network of a model in the diffusers layout"),
    (r"^(text_model\.)?(encoder\.layers|embeddings)\.", "a text encoder alone"),
)
"""What is often taken for a model, told by what one of its tensors' names has in it."""


@dataclass(frozen=True)
class SingleFile:
    """A checkpoint in one file; `tensors` are each network's, by the names in the file (fused ones told apart)."""

    file: Path
    kind: str
    tensors: dict[str, dict[str, Stored]]

    def configs(self, config: str | Path | None) -> Path:
        """The directory that says what the networks are: `config`, or that of the kind's first publication.

        Raises InputError where it cannot be had.
        """
        if config is not None:
            if is_single_file(config):
                raise InputError(
                    f"The config {config} is a file; accepted: a directory in the diffusers layout, a hub id."
                )
            return resolve(config, {})
        try:
            return resolve(_CONFIGS[self.kind], {})
        except InputError as error:
            raise InputError(
                f"The file {self.file} holds weights only, and the configs of {_CONFIGS[self.kind]} cannot be had from "
                "the hub: give config (--model-config), a directory in the diffusers layout or a hub id of its kind."
            ) from error

    def check_kind(self, unet: UNetConfig, directory: Path) -> None:
        """Raises InputError where the prompts that the file's UNet reads are not those of the configs."""
        stored = self.tensors["unet"].items()
        widths = {tensor.shape[-1:] for name, tensor in stored if name.endswith(".attn2.to_k.weight")}
        if widths - {(unet.cross_attention_dim,)}:
            found = " and ".join(str(width) for shape in sorted(widths) for width in shape)
            raise InputError(
                f"The file {self.file} reads prompts of width {found}, but the configs in {directory} describe a model "
                f"of width {unet.cross_attention_dim}: give the config (--model-config) of a model of its own kind."
            )


def is_single_file(model: str | Path) -> bool:
    """Whether a model's name is that of a checkpoint in one file."""
    path = Path(model).expanduser()
    return path.suffix in FILES and not path.is_dir()


def open_file(model: str | Path) -> SingleFile:
    """What a checkpoint of Stable Diffusion 1.x, 2.x or XL in one file holds; reads its header only.

    Raises InputError for a file that cannot be read, is none of these, lacks a network, or holds something unknown.
    """
    file = Path(model).expanduser().absolute()
    inside = {name: tensor for name, tensor in index(file).items() if not _is_unused(name)}
    tensors: dict[str, dict[str, Stored]] = {part: {} for part in PREFIXES}
    unknown = []
    for name, tensor in inside.items():
        part = next((part for part, prefixes in PREFIXES.items() if name.startswith(prefixes)), None)
        if part:
            tensors[part] |= _unfused(file, name, tensor)
        else:
            unknown.append(name)
    missing = [part for part in _NAMES if not tensors[part]]
    if missing:
        raise InputError(_lacks(file, missing, unknown))
    if unknown:
        raise InputError(f"The file {file} has {len(unknown)} tensors that no model has: {', '.join(unknown)}.")
    return SingleFile(file, _kind(file, tensors), tensors)


def _is_unused(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in UNUSED)


def _unfused(file: Path, name: str, tensor: Stored) -> dict[str, Stored]:
    """A tensor by its name; the projections to queries, keys and values, where they are one tensor, by theirs."""
    for fused, kind in FUSED:
        if name.endswith(f".{fused}"):
            if not tensor.shape or tensor.shape[0] % 3:
                raise InputError(f"The file {file} stores {name} as {list(tensor.shape)}, which is no three tensors.")
            stem = name.removesuffix(fused)
            return {f"{stem}{letter}_proj.{kind}": third for letter, third in zip("qkv", tensor.thirds(), strict=True)}
    return {name: tensor}


def _kind(file: Path, tensors: dict[str, dict[str, Stored]]) -> str:
    if tensors["text_encoder_2"]:
        return "sdxl"
    if any(name.startswith("conditioner.") for name in tensors["text_encoder"]):
        raise InputError(f"The file {file} is the refiner of Stable Diffusion XL, which draws no pictures by itself.")
    return "sd2" if any(name.startswith("cond_stage_model.model.") for name in tensors["text_encoder"]) else "sd1"


def _lacks(file: Path, missing: list[str], unknown: list[str]) -> str:
    """What is to be said of a file that lacks networks."""
    what = ", ".join(f"{_NAMES[part]} ({' or '.join(f'{prefix}*' for prefix in PREFIXES[part])})" for part in missing)
    held = " and ".join(_NAMES[part] for part in _NAMES if part not in missing)
    if held:
        return f"The file {file} holds {held} only: {what} are missing, which a model in one file has."
    for pattern, name in _OTHERS:
        if any(re.search(pattern, key) for key in unknown):
            return f"The file {file} is {name}; a model in one file has {what}."
    return f"The file {file} is no Stable Diffusion model: it lacks {what}."
