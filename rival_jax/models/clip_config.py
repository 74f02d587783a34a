"""Configurations of CLIP's parts, read from a checkpoint's own `config.json`.

Differs from the other networks': everything that only decorates a transformers config (token ids, dropout,
initialisers) is skipped, because nothing used here depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rival_jax.errors import InputError
from rival_jax.models.config import check_divides, required
from rival_jax.typed import typed


@dataclass(frozen=True)
class TextConfig:
    """A `CLIPTextModel`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    projection_dim: int = 512
    """Of an encoder that has a projection."""

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> TextConfig:
        """Reads `text_encoder/config.json`. Raises InputError that names what is unsupported or missing."""
        return _read(cls, config, "text encoder", "clip_text_model")


@dataclass(frozen=True)
class VisionConfig:
    """A `CLIPVisionModel`; pictures are square."""

    image_size: int
    patch_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    projection_dim: int = 512
    """Of an encoder that has a projection."""

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> VisionConfig:
        """Reads a `vision_config`. Raises InputError that names what is unsupported or missing."""
        made = _read(cls, config, "image encoder", "clip_vision_model")
        check_divides("image encoder", "patch_size", (made.patch_size,), (made.image_size,))
        return made

    @property
    def tokens(self) -> int:
        """One a patch, and the one that stands for the picture."""
        return (self.image_size // self.patch_size) ** 2 + 1


@dataclass(frozen=True)
class CLIPConfig:
    """A `CLIPModel`."""

    text: TextConfig
    vision: VisionConfig
    projection_dim: int

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> CLIPConfig:
        """Reads a CLIP model's `config.json`; what it leaves out is transformers' default."""
        text = TextConfig.from_dict(_TEXT_DEFAULTS | config.get("text_config", {}))
        vision = VisionConfig.from_dict(_VISION_DEFAULTS | config.get("vision_config", {}))
        return cls(text, vision, config.get("projection_dim", 512))


def _read(cls, config: dict[str, Any], owner: str, model_type: str):
    kind = config.get("model_type", model_type)
    if kind not in (model_type, "clip"):
        raise InputError(f"The {owner} config's model_type = {kind!r} is not supported; accepted: {model_type!r}.")
    optional = {"max_position_embeddings", "hidden_act", "layer_norm_eps", "projection_dim"}
    fields = {field: required(owner, config, field) for field in cls.__dataclass_fields__ if field not in optional}
    fields |= {field: config[field] for field in cls.__dataclass_fields__ if config.get(field) is not None}
    if (act := fields.get("hidden_act", "quick_gelu")) not in ("quick_gelu", "gelu"):
        raise InputError(f"The {owner} config's hidden_act = {act!r} is not supported; accepted: 'quick_gelu', 'gelu'.")
    made = cls(**typed(f"The {owner} config's", fields, cls))
    check_divides(owner, "num_attention_heads", (made.num_attention_heads,), (made.hidden_size,))
    return made


_TEXT_DEFAULTS = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
}
_VISION_DEFAULTS = {
    "image_size": 224,
    "patch_size": 32,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
