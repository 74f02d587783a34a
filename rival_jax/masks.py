"""Masks of inpainting: read, brought to the model's sizes, and feathered where generated and kept pixels meet."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from rival_jax.errors import InputError
from rival_jax.images import opened

_THRESHOLD = 128
_FEATHER = 128
"""The shorter side in feathers: 4 pixels for a picture of 512."""


def load_masks(masks: object, sizes: Sequence[tuple[int, int]], height: int, width: int) -> np.ndarray:
    """Where each exemplar is to be filled, bool (E, height, width).

    Args:
        masks: one for all exemplars or one an exemplar: a path, a PIL image, or an array (H, W), bool or uint8. White
            is filled: values from 128 on.
        sizes: (width, height) of the exemplars before they were cropped; each mask has its exemplar's.

    A pixel is filled if anything is that it covers. Raises InputError for a mask of another size or with colours.
    """
    given = _listed(masks)
    if len(given) not in (1, len(sizes)):
        raise InputError(
            f"masks has {len(given)} entries, but the number of photos is {len(sizes)}; give one, or one a photo."
        )
    names = [str(mask) if isinstance(mask, str | os.PathLike) else f"mask {i}" for i, mask in enumerate(given, 1)]
    read = [_read(mask, name) for mask, name in zip(given, names, strict=True)]
    filled = []
    for number, size in enumerate(sizes):
        place = number % len(read)
        mask, name = read[place], names[place]
        if mask.shape[::-1] != size:
            found, wanted = (f"{w} x {h}" for w, h in (mask.shape[::-1], size))
            raise InputError(f"{name} is {found} pixels, but its photo is {wanted}; give a mask of the photo's size.")
        whole = Image.fromarray(mask.astype(np.float32))
        filled.append(np.asarray(ImageOps.fit(whole, (width, height), Image.Resampling.BOX)) > 0)
    return np.stack(filled)


def holes(masks: np.ndarray, factor: int) -> np.ndarray:
    """The latent cells (E, h, w, 1) bool in which any pixel of masks (E, H, W) is to be filled."""
    exemplars, height, width = masks.shape
    cells = masks.reshape(exemplars, height // factor, factor, width // factor, factor)
    return np.any(cells, axis=(2, 4))[..., None]


def feather(masks: np.ndarray) -> np.ndarray:
    """Weights (E, H, W) float32 of the generated pixels: 1 in the mask and a pixel around it, then falling to 0 within
    a 64th of the shorter side. Of a mask that fills nothing, 0 everywhere."""
    radius = max(1, min(masks.shape[1:]) // _FEATHER)

    def one(mask: np.ndarray) -> np.ndarray:
        wide = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * radius + 3))
        return np.asarray(wide.filter(ImageFilter.BoxBlur(radius)), np.float32) / 255

    return np.stack([one(mask) for mask in masks])


def composite(pictures: np.ndarray, exemplars: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pictures (E, N, H, W, 3) uint8 over their exemplars (E, H, W, 3); where a weight is 0 the exemplar's pixels."""
    share = weights[:, None, :, :, None]
    mixed = share * pictures + (1 - share) * exemplars[:, None]
    return np.rint(mixed).astype(np.uint8)


def at_full_size(photo: Image.Image, picture: np.ndarray, weights: np.ndarray) -> Image.Image:
    """A generated picture (H, W, 3) over its uncropped photo, at the photo's size; weights (H, W) as of `feather`."""
    height, width = weights.shape
    scale = max(width / photo.width, height / photo.height)
    left, top = (photo.width * scale - width) / 2, (photo.height * scale - height) / 2
    place = (scale, 0, -left, 0, scale, -top)

    def laid_out(layer: Image.Image, resample: Image.Resampling) -> Image.Image:
        return layer.transform(photo.size, Image.Transform.AFFINE, place, resample)

    share = Image.fromarray(np.rint(weights * 255).astype(np.uint8))
    return Image.composite(
        laid_out(Image.fromarray(picture), Image.Resampling.BICUBIC),
        photo,
        laid_out(share, Image.Resampling.BILINEAR),
    )


def _listed(masks: object) -> list:
    if isinstance(masks, list | tuple):
        return list(masks)
    if getattr(masks, "ndim", None) == 3:
        return list(masks)  # pyright: ignore[reportArgumentType]
    return [masks]


def _read(mask: object, name: str) -> np.ndarray:
    """A mask (H, W) as bool."""
    if hasattr(mask, "__array__") and not isinstance(mask, Image.Image):
        array = np.asarray(mask)
        if array.ndim != 2 or array.dtype not in (np.bool_, np.uint8):
            raise InputError(
                f"{name} is an array of {array.dtype} with shape {array.shape}; give bool or uint8 of shape (H, W)."
            )
        return array if array.dtype == np.bool_ else array >= _THRESHOLD
    pixels = np.asarray(opened(mask, name))
    alpha = (mask if isinstance(mask, Image.Image) else Image.open(str(mask))).convert("RGBA").getchannel("A")
    if np.asarray(alpha).min() < 255:
        raise InputError(f"{name} is transparent in places, but a mask is black and white: white is filled.")
    if (pixels != pixels[..., :1]).any():
        raise InputError(f"{name} has colours, but a mask is black and white: white is filled, black is kept.")
    return pixels[..., 0] >= _THRESHOLD
