"""What an IP-Adapter is made of: read from its tensors' shapes, for it is published without a config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from rival_jax.errors import InputError
from rival_jax.models.config import UNetConfig

HEAD_WIDTH = 64
"""Of the resampler's attention, which files do not tell."""


@dataclass(frozen=True)
class Layer:
    """A cross-attention layer of a UNet: its number in files, its width and its heads."""

    number: int
    width: int
    heads: int


def cross_attention(unet: UNetConfig) -> tuple[Layer, ...]:
    """A UNet's cross-attention layers in the order of use.

    Files number all attention layers in the order in which diffusers' UNet lists them, which is the way down, the way
    up and then the middle; even numbers are of self-attention.
    """
    levels = list(zip(unet.layers_per_block, unet.transformer_depths, unet.up_depths, strict=True))
    down = [level for level, (layers, depth, _) in enumerate(levels) for _ in range(layers * depth)]
    up = [level for level, (layers, _, depth) in enumerate(levels) for _ in range((layers + 1) * depth)][::-1]
    middle = [len(levels) - 1] * unet.mid_depth
    widths, heads = unet.block_out_channels, unet.attention_heads
    numbered = zip(count(1, 2), [*down, *up, *middle], strict=False)
    listed = tuple(Layer(number, widths[level], heads[level]) for number, level in numbered)
    before_up, after_up = len(down), len(down) + len(up)
    return listed[:before_up] + listed[after_up:] + listed[before_up:after_up]


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """From an embedded picture to tokens, by one dense layer."""

    image_width: int
    """Of the image encoder's embedding; with a resampler of its hidden states."""
    tokens: int
    text_width: int
    """Of a token, as of a prompt's."""


@dataclass(frozen=True, kw_only=True)
class ResamplerConfig(ProjectionConfig):
    """From a picture's hidden states to tokens, by attention."""

    width: int
    inner: int
    """Of all heads together."""
    hidden: int
    """Of the MLPs."""
    depth: int


@dataclass(frozen=True)
class IPAdapterConfig:
    """An adapter of one UNet: global, or with a resampler "plus". Made by `from_shapes`."""

    projection: ProjectionConfig
    layers: tuple[Layer, ...]
    """In the order of use."""

    @classmethod
    def from_shapes(cls, owner: str, shapes: Mapping[str, tuple[int, ...]], unet: UNetConfig) -> IPAdapterConfig:
        """Reads the shapes of a file's tensors, by their names, for use with a UNet.

        Raises InputError that names `owner` where they are of no adapter, of another kind or of another model.
        """
        reading = [name for name in shapes if name.startswith("ip_adapter.") and name.endswith(".to_k_ip.weight")]
        if not reading or not any(name.startswith("image_proj.") for name in shapes):
            raise InputError(f"The file {owner} is no IP-Adapter, which has tensors image_proj.* and ip_adapter.*.")
        projection, layers = _projection(owner, shapes), cross_attention(unet)
        if (len(reading), projection.text_width) != (len(layers), unet.cross_attention_dim):
            raise InputError(
                f"The IP-Adapter {owner} was made for another model: it has {len(reading)} layers that read tokens of "
                f"width {projection.text_width}, the model {len(layers)} of width {unet.cross_attention_dim}."
            )
        return cls(projection, layers)


def _projection(owner: str, shapes: Mapping[str, tuple[int, ...]]) -> ProjectionConfig:
    def shape(name: str, axes: int) -> tuple[int, ...]:
        found = shapes.get(f"image_proj.{name}", ())
        if len(found) != axes or not all(found):
            raise InputError(f"The IP-Adapter {owner} has no image_proj.{name} of {axes} axes.")
        return found

    if "image_proj.proj.weight" in shapes:
        (rows, image_width), (text_width,) = shape("proj.weight", 2), shape("norm.weight", 1)
        if rows % text_width:
            raise InputError(f"The IP-Adapter {owner} makes {rows} numbers, not whole tokens of width {text_width}.")
        return ProjectionConfig(image_width=image_width, tokens=rows // text_width, text_width=text_width)
    if "image_proj.latents" not in shapes:
        raise InputError(
            f"The IP-Adapter {owner} is of a kind that is not supported, as those for faces are; accepted: global ones "
            "(with image_proj.proj) and plus ones (with image_proj.latents)."
        )
    (_, tokens, width), (_, image_width) = shape("latents", 3), shape("proj_in.weight", 2)
    (inner, _), (hidden, _) = shape("layers.0.0.to_q.weight", 2), shape("layers.0.1.1.weight", 2)
    if inner % HEAD_WIDTH:
        raise InputError(f"The IP-Adapter {owner} attends in a width of {inner}, which is no multiple of {HEAD_WIDTH}.")
    return ResamplerConfig(
        image_width=image_width,
        tokens=tokens,
        text_width=shape("norm_out.weight", 1)[0],
        width=width,
        inner=inner,
        hidden=hidden,
        depth=len({name.split(".")[2] for name in shapes if name.startswith("image_proj.layers.")}),
    )
