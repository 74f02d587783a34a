"""ControlNets at work: which networks run beside the UNet, and what each is shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from rival_jax import checks
from rival_jax.controlnet import ControlNet
from rival_jax.course import Control, Networks
from rival_jax.errors import InputError
from rival_jax.images import load_controls
from rival_jax.models.network import Network
from rival_jax.request import Request


def with_controls(
    unet: Network, asked: Request, exemplars: int, height: int, width: int, factor: int
) -> tuple[Networks, tuple[Control, ...]]:
    """The UNet and the request's ControlNets, and what these are shown.

    Of pictures of height x width pixels, `factor` of which a latent cell is wide.

    Raises InputError where networks, images and scales are not as many or do not fit each other.
    """
    if asked.controlnet is None:
        if asked.control_image is not None:
            raise InputError("control_image is given without a controlnet; give both or neither.")
        return (unet,), ()
    several = isinstance(asked.controlnet, list | tuple)
    nets = tuple(asked.controlnet) if several else (asked.controlnet,)
    for net in nets:
        if not isinstance(net, ControlNet):
            raise InputError(f"controlnet is {net!r}, but must be a ControlNet, as ControlNet.from_pretrained makes.")
        net.check_fits(unet.config)
        if net.config.image_factor != factor:
            raise InputError(
                f"The ControlNet {net.directory} was made for another model: its latent cells are "
                f"{net.config.image_factor} pixels wide, the model's {factor}."
            )
    if asked.control_image is None:
        raise InputError("controlnet is given without a control_image; give the picture that it shall follow.")
    images = _each("control_image", asked.control_image, len(nets)) if several else [asked.control_image]
    scales = _each("controlnet_scale", asked.controlnet_scale, len(nets))
    for scale in scales:
        checks.finite("controlnet_scale", scale)
    shown = [load_controls(image, exemplars, height, width) for image in images]
    controls = [Control(image, np.asarray(scale, np.float32)) for image, scale in zip(shown, scales, strict=True)]
    return (unet, *(net.network for net in nets)), tuple(controls)


def _each(name: str, value: Any, count: int) -> list:
    """One an entry of a list; a single scale stands for all ControlNets."""
    if name == "controlnet_scale" and not isinstance(value, list | tuple):
        return [value] * count
    if not isinstance(value, list | tuple) or len(value) != count:
        given = len(value) if isinstance(value, list | tuple) else "one entry and no list"
        raise InputError(
            f"{name} has {given}, but the number of ControlNets is {count}; give a list with one for each."
        )
    return list(value)
