"""Configurations of UNet and autoencoder, from a checkpoint's own `config.json`; what is unsupported is an error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rival_jax.errors import InputError
from rival_jax.typed import typed

_EMPTY = (None, False)


def accept(owner: str, config: dict[str, Any], accepted: dict[str, tuple], known: set[str]) -> None:
    """Raises InputError for a field whose value the networks here do not implement, naming field and value.

    `accepted` lists the values allowed for a field whose meaning is fixed; a field nobody knows may only be empty.
    """
    for field, value in config.items():
        if field.startswith("_") or field in known:
            continue
        allowed = accepted.get(field, _EMPTY)
        if not any(value == choice and type(value) is type(choice) for choice in allowed):
            choices = ", ".join(map(repr, allowed))
            raise InputError(f"The {owner} config's {field} = {value!r} is not supported; accepted: {choices}.")


def _per_block(owner: str, field: str, value, blocks: int) -> tuple[int, ...]:
    """One value for every block, or a list with one a block."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * blocks
    if len(values) != blocks or not all(isinstance(v, int) and v > 0 for v in values):
        raise InputError(
            f"The {owner} config's {field} = {value!r} must be a positive integer or one for each of {blocks} blocks."
        )
    return values


def check_divides(owner: str, field: str, divisors: tuple[int, ...], widths: tuple[int, ...]) -> None:
    """Raises InputError where a width is not a multiple of its divisor, such as its number of heads."""
    for divisor, width in zip(divisors, widths, strict=True):
        if min(divisor, width) < 1 or width % divisor:
            raise InputError(f"The {owner} config's {field} = {divisor} does not divide a width of {width}.")


def _block_types(owner: str, config: dict[str, Any], field: str, supported: set[str]) -> tuple[str, ...]:
    """The kinds of a config's blocks, one for each of its widths."""
    types, widths = (required_list(owner, config, name) for name in (field, "block_out_channels"))
    for kind in types:
        if kind not in supported:
            choices = ", ".join(sorted(supported))
            raise InputError(f"The {owner} config's {field} has {kind!r}, which is not supported; accepted: {choices}.")
    if len(types) != len(widths):
        raise InputError(f"The {owner} config's {field} names {len(types)} blocks for {len(widths)} widths.")
    return types


def _depths(owner: str, config: dict[str, Any], kinds: Iterable[str]) -> tuple[int, ...]:
    """Transformer blocks after each resnet of blocks of these kinds, the finest first."""
    depths = _transformer_layers(owner, config)
    return tuple(depth if "CrossAttn" in kind else 0 for depth, kind in zip(depths, kinds, strict=True))


def _transformer_layers(owner: str, config: dict[str, Any]) -> tuple[int, ...]:
    field = "transformer_layers_per_block"
    return _per_block(owner, field, config.get(field, 1), len(required_list(owner, config, "block_out_channels")))


def _square(owner: str, value) -> int:
    size = value[0] if isinstance(value, list | tuple) and len(set(value)) == 1 else value
    if not isinstance(size, int) or size < 1:
        raise InputError(f"The {owner} config's sample_size = {value!r} must be one positive integer.")
    return size


def required(owner: str, config: dict[str, Any], field: str):
    if config.get(field) is None:
        raise InputError(f"The {owner} config lacks {field}, which is needed to build the network.")
    return config[field]


def required_list(owner: str, config: dict[str, Any], field: str) -> tuple:
    value = required(owner, config, field)
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"The {owner} config's {field} = {value!r} must be a list, with one entry for each block.")
    return tuple(value)


@dataclass(frozen=True, kw_only=True)
class DownPathConfig:
    """The down path and the middle of a UNet; per-block tuples run from the finest level to the coarsest."""

    in_channels: int
    block_out_channels: tuple[int, ...]
    layers_per_block: tuple[int, ...]
    attention_heads: tuple[int, ...]
    """Differs: the checkpoints call the number of heads `attention_head_dim`."""
    transformer_depths: tuple[int, ...]
    """Transformer blocks after each resnet; 0 at a level without attention."""
    mid_depth: int
    cross_attention_dim: int
    use_linear_projection: bool = False
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    addition_time_embed_dim: int | None = None
    """Set where pooled text and embedded sizes are added to the embedded timestep (SDXL): a size's width."""
    class_embed_type: str | None = None
    """"projection" where an embedded picture is (Stable unCLIP)."""
    projection_class_embeddings_input_dim: int | None = None

    @property
    def added_width(self) -> int | None:
        """The width of what is added, through two dense layers, to the embedded timestep; None: nothing is."""
        wanted = self.addition_time_embed_dim or self.class_embed_type
        return self.projection_class_embeddings_input_dim if wanted else None

    @property
    def skip_channels(self) -> tuple[int, ...]:
        """The widths of what the up path meets again, in the order of making."""
        made, last = [self.block_out_channels[0]], len(self.block_out_channels) - 1
        for level, (width, layers) in enumerate(zip(self.block_out_channels, self.layers_per_block, strict=True)):
            made += [width] * (layers + (level < last))
        return tuple(made)

    @property
    def factor(self) -> int:
        """The latents' sides must be multiples of this."""
        return 2 ** (len(self.block_out_channels) - 1)


_Config = TypeVar("_Config", bound=DownPathConfig)


def read_down_path(cls: type[_Config], owner: str, config: dict[str, Any], own: dict[str, Any]) -> _Config:
    """A config from a config.json that was accepted, and the fields that are `cls`'s own."""
    channels = required_list(owner, config, "block_out_channels")
    blocks = len(channels)
    for kind in ("addition_embed_type", "class_embed_type"):
        if config.get(kind) and not config.get("projection_class_embeddings_input_dim"):
            raise InputError(f"The {owner} config's {kind} needs projection_class_embeddings_input_dim.")
    heads = config.get("num_attention_heads") or config.get("attention_head_dim", 8)
    fields = dict(
        in_channels=config.get("in_channels", 4),
        block_out_channels=channels,
        layers_per_block=_per_block(owner, "layers_per_block", config.get("layers_per_block", 2), blocks),
        attention_heads=_per_block(owner, "attention_head_dim", heads, blocks),
        transformer_depths=_depths(owner, config, _block_types(owner, config, "down_block_types", _DOWN_TYPES)),
        mid_depth=_transformer_layers(owner, config)[-1],
        cross_attention_dim=required(owner, config, "cross_attention_dim"),
        use_linear_projection=bool(config.get("use_linear_projection", False)),
        norm_num_groups=config.get("norm_num_groups", 32),
        norm_eps=config.get("norm_eps", 1e-5),
        flip_sin_to_cos=config.get("flip_sin_to_cos", True),
        freq_shift=config.get("freq_shift", 0),
        addition_time_embed_dim=config.get("addition_time_embed_dim"),
        class_embed_type=config.get("class_embed_type"),
        projection_class_embeddings_input_dim=config.get("projection_class_embeddings_input_dim"),
    )
    made = cls(**typed(f"The {owner} config's", fields | own, cls))
    check_divides(owner, "attention_head_dim", made.attention_heads, channels)
    check_divides(owner, "norm_num_groups", (made.norm_num_groups,) * blocks, channels)
    return made


@dataclass(frozen=True, kw_only=True)
class UNetConfig(DownPathConfig):
    """A `UNet2DConditionModel`."""

    sample_size: int
    out_channels: int
    up_depths: tuple[int, ...]
    """As `transformer_depths` for the up path, also from the finest level to the coarsest."""

    def self_attention(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(tokens, heads, width of a head) of each level with self-attention, for latents of these sides."""
        depths = [max(pair) for pair in zip(self.transformer_depths, self.up_depths, strict=True)]
        depths[-1] = max(depths[-1], self.mid_depth)
        levels = enumerate(zip(depths, self.attention_heads, self.block_out_channels, strict=True))
        return [
            ((height >> level) * (width >> level), heads, channels // heads)
            for level, (depth, heads, channels) in levels
            if depth
        ]

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> UNetConfig:
        """Reads `unet/config.json`. Raises InputError that names what is unsupported or missing."""
        owner = "UNet"
        accept(owner, config, _UNET_ACCEPTED, _UNET_KNOWN)
        up = _block_types(owner, config, "up_block_types", _UP_TYPES)
        own = {
            "sample_size": _square(owner, required(owner, config, "sample_size")),
            "out_channels": config.get("out_channels", 4),
            "up_depths": _depths(owner, config, reversed(up)),
        }
        return read_down_path(cls, owner, config, own)


@dataclass(frozen=True)
class VAEConfig:
    """An `AutoencoderKL`."""

    block_out_channels: tuple[int, ...]
    in_channels: int = 3
    out_channels: int = 3
    layers_per_block: int = 1
    latent_channels: int = 4
    norm_num_groups: int = 32
    scaling_factor: float = 0.18215
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> VAEConfig:
        """Reads `vae/config.json`. Raises InputError that names what is unsupported or missing."""
        accept("VAE", config, _VAE_ACCEPTED, _VAE_KNOWN)
        channels = required_list("VAE", config, "block_out_channels")
        for field, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
            _block_types("VAE", config, field, {kind})
        fields = {field: config[field] for field in cls.__dataclass_fields__ if config.get(field) is not None}
        made = cls(**typed("The VAE config's", fields, cls))
        check_divides("VAE", "norm_num_groups", (made.norm_num_groups,) * len(channels), channels)
        return made

    @property
    def factor(self) -> int:
        """Pixels a latent cell is wide."""
        return 2 ** (len(self.block_out_channels) - 1)


_DOWN_TYPES = {"CrossAttnDownBlock2D", "DownBlock2D"}
_UP_TYPES = {"CrossAttnUpBlock2D", "UpBlock2D"}

DOWN_PATH_KNOWN = {
    "in_channels", "down_block_types", "block_out_channels", "layers_per_block", "attention_head_dim",
    "num_attention_heads", "transformer_layers_per_block", "cross_attention_dim", "use_linear_projection",
    "norm_num_groups", "norm_eps", "flip_sin_to_cos", "freq_shift", "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
}  # fmt: skip
DOWN_PATH_ACCEPTED = {
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "act_fn": ("silu", "swish"),
    "addition_embed_type": (None, "text_time"),
    "addition_embed_type_num_heads": (64,),
    "downsample_padding": (1,),
    "mid_block_scale_factor": (1, 1.0),
    "resnet_time_scale_shift": ("default",),
    "upcast_attention": (None, False, True),
}
_UNET_KNOWN = DOWN_PATH_KNOWN | {"sample_size", "out_channels", "up_block_types"}
_UNET_ACCEPTED = DOWN_PATH_ACCEPTED | {
    "attention_type": ("default",),
    "class_embed_type": (None, "projection"),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "dropout": (0.0, 0),
    "resnet_out_scale_factor": (1, 1.0),
    "time_embedding_type": ("positional",),
}
_VAE_KNOWN = set(VAEConfig.__dataclass_fields__) | {"down_block_types", "up_block_types", "sample_size"}
_VAE_ACCEPTED = {"act_fn": ("silu", "swish"), "force_upcast": (None, False, True)}
