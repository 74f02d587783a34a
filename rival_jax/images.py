"""Photos in: what Pillow reads becomes uint8 RGB of one size; and how alike two pictures are."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from rival_jax.errors import InputError

SHORTEST_SIDE = 16  # pixels
MOST_PIXELS = 100_000_000


def load_images(images: object, height: int, width: int) -> np.ndarray:
    """Photos as uint8 RGB (E, height, width, 3): upright by EXIF, cropped at the centre to the aspect, resized.

    `images` is one photo or a list of them. A photo is a path, a PIL image or a uint8 array (H, W), (H, W, 1),
    (H, W, 3) or (H, W, 4); an array (E, H, W, C) is E photos. Files: whatever Pillow reads, of an animation the first
    frame. Every mode but "F" (floating point) is accepted: alpha is laid on white, 16-bit values are scaled to 8 bits,
    mode "I" is read as 16-bit (0...65535). Colour profiles are not applied. The resampling filter is Lanczos's.

    Raises InputError for an unreadable, damaged or non-image file, a shorter side under 16 pixels or more than 100
    megapixels (both judged by the header, before decoding), any other array, and nothing at all.
    """
    return np.stack(
        [np.asarray(ImageOps.fit(rgb, (width, height), Image.Resampling.LANCZOS)) for rgb in _decoded(images)]
    )


def load_whole(images: object) -> list[np.ndarray]:
    """Photos as `load_images` takes them, uint8 RGB (H, W, 3) each, upright and of their own sizes."""
    return [np.asarray(rgb) for rgb in _decoded(images)]


def load_controls(images: object, count: int, height: int, width: int) -> np.ndarray:
    """What a ControlNet sees, float32 RGB (count, height, width, 3) in 0...1: one image for all photos, or one a photo.

    Images are given as photos are, in the pictures' aspect to the pixel, and resized (Lanczos) but never cropped.
    Raises InputError for another aspect or number of images, and as `load_images` would.
    """
    pictures = []
    for number, rgb in enumerate(_decoded(images, "control image"), start=1):
        if abs(rgb.width * height - rgb.height * width) >= max(height, width):
            raise InputError(
                f"Control image {number} is {rgb.width} x {rgb.height} pixels, which is not the aspect of "
                f"{width} x {height} pictures; crop it to that."
            )
        pictures.append(np.asarray(rgb.resize((width, height), Image.Resampling.LANCZOS)))
    if len(pictures) not in (1, count):
        raise InputError(
            f"The number of control images is {len(pictures)}, but the number of photos is {count}; "
            "give one, or one a photo."
        )
    return np.broadcast_to(np.stack(pictures), (count, height, width, 3)).astype(np.float32) / 255


def check_images(images: object) -> list[tuple[int, int]]:
    """The photos' own (width, height); raises InputError as `load_images` would, and holds one at a time."""
    return [image.size for image in _decoded(images)]


def decode_picture(data: bytes, name: str) -> Image.Image:
    """The contents of one picture file as upright RGB of its own size; raises InputError as `load_images` would."""
    with _clear_errors(name):
        return _decode_file(io.BytesIO(data), len(data), name)


def psnr(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Decibels (n,) between pictures (n, H, W, 3) uint8: how alike they are, pixel by pixel."""
    errors = np.square(pictures.astype(np.float64) - others).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(errors, 1e-6))


def _decoded(images: object, kind: str = "image") -> Iterator[Image.Image]:
    """The photos as upright RGB, one after the other; errors call one without a path a `kind`."""
    photos = _listed(images)
    if not photos:
        raise InputError(f"{kind}s is empty; give at least one photo.")
    for number, photo in enumerate(photos, start=1):
        yield opened(photo, f"{kind} {number} of {len(photos)}")


def opened(photo: object, name: str = "image") -> Image.Image:
    """One photo as upright RGB of its own size; raises InputError as `load_images` would.

    name: what errors call it where it has no path.
    """
    name = str(photo) if isinstance(photo, str | os.PathLike) else name
    with _clear_errors(name):
        return _load_rgb(photo, name)


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Whatever Pillow and its many decoders raise on a bad file, as one InputError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are checked here, and damaged metadata does no harm
            yield
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not a picture that Pillow can read, such as PNG, JPEG, WebP or TIFF.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{name} cannot be read ({error.strerror}); give a readable picture file.") from error
        raise InputError(f"{name} is damaged or cut short ({error}); give a complete picture.") from error


def _listed(images: object) -> list:
    if isinstance(images, list | tuple):
        return list(images)
    if hasattr(images, "__array__") and np.asarray(images).ndim == 4:
        return list(np.asarray(images))
    return [images]


def _load_rgb(photo: object, name: str) -> Image.Image:
    if isinstance(photo, Image.Image):
        return _decode(photo, name)
    if hasattr(photo, "__array__"):
        return _decode(_from_array(np.asarray(photo), name), name)
    if not isinstance(photo, str | os.PathLike):
        raise InputError(f"{name} is of type {type(photo).__name__}; give a path, a PIL image or a uint8 array.")
    size = Path(photo).stat().st_size
    if not Path(photo).is_file():
        raise InputError(f"{name} is not a file; give a picture file.")
    return _decode_file(photo, size, name)


def _decode_file(file: str | os.PathLike | IO[bytes], size: int, name: str) -> Image.Image:
    """A picture file of `size` bytes, by path or opened."""
    if size == 0:
        raise InputError(f"{name} is empty (0 bytes); give a picture file.")
    with Image.open(file) as image:
        return _decode(image, name)


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        raise InputError(
            f"{name} is an array of {array.dtype} with shape {array.shape}; "
            "give uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)."
        )
    _check_size(array.shape[1], array.shape[0], name)
    return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)


def _decode(image: Image.Image, name: str) -> Image.Image:
    """An opened picture, perhaps not decoded yet, to upright RGB."""
    _check_size(*image.size, name)
    if image.mode == "F":
        raise InputError(f"{name} has floating-point pixels (mode F); give a picture of 8-bit or 16-bit integers.")
    image.load()
    image = _upright(image)
    if image.mode.startswith("I"):
        image = _from_16_bit(image, name)
    elif image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(image)
    elif image.mode == "La":  # Pillow converts premultiplied grey to nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the picture is whole, only its EXIF is not
        return image


def _from_16_bit(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise InputError(f"{name} has pixel values outside 0...65535; give a picture of 8-bit or 16-bit integers.")
    return Image.fromarray(np.rint(values / np.float32(257)).astype(np.uint8))


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < SHORTEST_SIDE:
        raise InputError(f"{name} is {width} x {height} pixels; the shorter side must have at least {SHORTEST_SIDE}.")
    if width * height > MOST_PIXELS:
        raise _too_many_pixels(name)


def _too_many_pixels(name: str) -> InputError:
    return InputError(f"{name} has more than {MOST_PIXELS // 10**6} megapixels; give a smaller picture.")
