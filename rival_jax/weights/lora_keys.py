"""The names in LoRA files: which network's which layer, which of its two factors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rival_jax.models.clip_config import TextConfig
from rival_jax.models.config import UNetConfig
from rival_jax.weights.original_keys import RESNET_LAYERS, unet_places

_NETWORKS = {
    "unet": r"lora_unet_|unet\.",
    "text_encoder": r"lora_te1?_|text_encoder\.",
    "text_encoder_2": r"lora_te2_|text_encoder_2\.",
}
"""How the keys of each network begin, by kohya's scripts and by diffusers; with no such start they are the UNet's."""

_ROLES = {"lora_A": "down", "lora_down": "down", "down": "down", "lora_B": "up", "lora_up": "up", "up": "up"}
_KEY = re.compile(
    rf"(?:{'|'.join(f'(?P<{network}>{start})' for network, start in _NETWORKS.items())})?"
    rf"(?P<layer>.+?)(?:[._]lora|\.lora_linear_layer)?\.(?:(?P<role>{'|'.join(_ROLES)})\.weight|alpha)"
)

OTHER_KINDS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "lora_mid": "LoCon with a core tensor",
}
"""What is in the keys of files that are no plain LoRA."""


@dataclass(frozen=True)
class Name:
    """A key of a LoRA file: `role` is "down", "up" or "alpha", `layer` the layer's name in the file."""

    network: str
    layer: str
    role: str

    @property
    def flat(self) -> str:
        """The layer as `layers` lists it."""
        return flat(self.layer.replace(".processor.", "."))


def parse(key: str) -> Name | None:
    """What a key names; None where it is no LoRA's."""
    found = _KEY.fullmatch(key)
    if not found:
        return None
    network = next((network for network in _NETWORKS if found[network]), "unet")
    return Name(network, found["layer"], _ROLES.get(found["role"], "alpha"))


def flat(name: str) -> str:
    """A dotted name as kohya's scripts write it. Nothing is read from it: it is looked up among a network's own."""
    return name.replace(".", "_")


def layers(paths: Iterable[str], config: UNetConfig | TextConfig) -> dict[str, str]:
    """The path of a network's every kernel, under all flat names that LoRA files have for its layer."""
    spell = _unet_names(config) if isinstance(config, UNetConfig) else _text_names
    kernels = [path for path in paths if path.endswith(".kernel")]
    return {flat(name): path for path in kernels for name in spell(path.removesuffix(".kernel"))}


def _text_names(layer: str) -> list[str]:
    """transformers', with and without the first word, and the former ones of diffusers."""
    former = re.sub(r"([qkv])_proj$", r"to_\1", layer.replace("out_proj", "to_out"))
    return [f"{model}{name}" for model in ("", "text_model.") for name in (layer, former)]


def _unet_names(config: UNetConfig):
    """A function from a layer to diffusers' names for it, today's and the former one, and the original UNet's."""
    places = unet_places(config)

    def names(layer: str) -> list[str]:
        place = next(place for place in places if f"{layer}.".startswith(f"{place}."))
        inside = re.sub(r"\w+$", lambda last: RESNET_LAYERS.get(last[0], last[0]), layer.removeprefix(place))
        return [layer, layer.removesuffix(".0"), places[place] + inside]

    return names
