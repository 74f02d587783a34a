"""Every odd picture becomes upright 8-bit RGB of the wanted size; every unusable one becomes one clear sentence."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from rival_jax.errors import InputError
from rival_jax.images import load_controls, load_images, psnr

COLOUR = (200, 100, 50)


def flat(mode: str, value, size=(40, 32)) -> Image.Image:
    return Image.new(mode, size, value)


def centre(image) -> list[int]:
    return load_images(image, 16, 16)[0, 8, 8].tolist()


def write_png(path, width, height, depth, colour_type, pixels=b""):
    """A PNG by hand: Pillow writes neither 16-bit colour nor a header without its pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(flat("RGB", COLOUR), *profiles, outputMode="LAB")


def palette_then_alpha() -> Image.Image:
    image = Image.frombytes("PA", (32, 32), bytes([1, 127]) * 32 * 32)
    image.putpalette([0, 0, 0, *COLOUR])
    return image


def palette_with_alpha() -> Image.Image:
    image = flat("P", 0)
    image.putpalette([*COLOUR, 0, 0, 0])
    image.info["transparency"] = bytes([127, 255])
    return image


@pytest.mark.parametrize(
    "image, expected",
    [
        (flat("1", 1), (255, 255, 255)),
        (flat("L", 90), (90, 90, 90)),
        (flat("RGB", COLOUR), COLOUR),
        (flat("RGBX", COLOUR), COLOUR),
        (flat("P", 0), (0, 0, 0)),
        (flat("RGB", COLOUR).convert("P", palette=Image.Palette.ADAPTIVE), COLOUR),
        (flat("CMYK", (55, 155, 205, 0)), COLOUR),
        (flat("RGB", COLOUR).convert("YCbCr"), COLOUR),
        (flat("RGB", COLOUR).convert("HSV"), COLOUR),
        (lab(), COLOUR),
        (flat("RGBA", (0, 0, 0, 0)), (255, 255, 255)),
        (flat("RGBA", (*COLOUR, 127)), (228, 178, 153)),
        (flat("RGBA", (*COLOUR, 127)).convert("RGBa"), (228, 178, 153)),
        (flat("LA", (100, 127)), (178, 178, 178)),
        (flat("LA", (100, 127)).convert("La"), (178, 178, 178)),
        (palette_then_alpha(), (228, 178, 153)),
        (palette_with_alpha(), (228, 178, 153)),
        (flat("I;16", 32896), (128, 128, 128)),
        (Image.frombytes("I;16B", (32, 32), np.full((32, 32), 32896, ">u2").tobytes()), (128, 128, 128)),
        (flat("I", 32896), (128, 128, 128)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode(image, expected):
    np.testing.assert_allclose(centre(image), expected, atol=2)


@pytest.mark.parametrize("colour_type, channels", [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_files_are_scaled_not_clipped(tmp_path, colour_type, channels):
    values = np.array([0x8040, 0x2010, 0xFF00, 0xFFFF][:channels], ">u2")
    if channels == 2:
        values[1] = 0xFFFF
    pixels = b"".join(b"\0" + np.tile(values, 32).tobytes() for _ in range(32))
    path = write_png(tmp_path / "deep.png", 32, 32, 16, colour_type, pixels)
    assert centre(path) == ([128, 32, 255] if channels > 2 else [128, 128, 128])


def test_16_bit_range_is_kept():
    ramp = Image.fromarray(np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (256, 1)))
    np.testing.assert_array_equal(load_images(ramp, 256, 256)[0, 0, :, 0], np.arange(256))


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette_file_with_transparency(tmp_path, suffix):
    image = flat("P", 1)
    image.putpalette([0, 0, 0, *COLOUR])
    image.save(tmp_path / f"clear.{suffix}", transparency=1)
    assert centre(tmp_path / f"clear.{suffix}") == [255, 255, 255]


def test_first_frame_of_an_animation(tmp_path):
    frames = [flat("RGB", "red"), flat("RGB", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert centre(tmp_path / "two.gif") == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_exif_orientation(tmp_path, orientation, mode):
    """A picture stored in each of the eight ways comes out like the upright one, dark only at the top left."""
    upright = np.full((32, 32), 255, np.uint8)
    upright[:16, :16] = 0
    undo = {1: 0, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose}
    undo |= {6: np.rot90, 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}
    stored = upright if orientation == 1 else undo[orientation](upright)
    image = Image.fromarray(stored.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(stored).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(load_images(tmp_path / "turned.png", 32, 32)[0, ..., 0], upright)


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_damaged_exif_does_no_harm(tmp_path, exif):
    flat("RGB", COLOUR).save(tmp_path / "photo.jpg", exif=exif)
    np.testing.assert_allclose(centre(tmp_path / "photo.jpg"), COLOUR, atol=2)


@pytest.mark.parametrize("size", [(96, 32), (32, 96), (1000, 16), (16, 1000)])
def test_centre_crop_to_the_aspect(size):
    """Only the middle is white; in a square it fills the picture, but for what the filter sees beyond the edge."""
    image = flat("RGB", "black", size)
    side = min(size)
    image.paste("white", ((size[0] - side) // 2, (size[1] - side) // 2, (size[0] + side) // 2, (size[1] + side) // 2))
    assert load_images(image, 48, 48)[0, 9:-9, 9:-9].min() == 255
    assert load_images(image, 64, 128).shape == (1, 64, 128, 3)


def test_reduction_averages():
    board = np.indices((256, 256)).sum(0) % 2 * 255
    small = load_images(board.astype(np.uint8), 16, 16)
    np.testing.assert_allclose(small, 127.5, atol=2)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
def test_arrays(shape):
    assert load_images(np.full(shape, 255, np.uint8), 16, 24).tolist() == np.full((1, 16, 24, 3), 255).tolist()


def test_one_or_many(tmp_path):
    image = flat("RGB", COLOUR)
    image.save(tmp_path / "a.png")
    stacked = np.stack([np.asarray(image)] * 3)
    for images, count in [(image, 1), ([tmp_path / "a.png", str(tmp_path / "a.png"), image], 3), (stacked, 3)]:
        loaded = load_images(images, 32, 40)
        assert loaded.dtype == np.uint8
        np.testing.assert_array_equal(loaded, stacked[:count])


def test_the_callers_picture_stays_open_and_unchanged(tmp_path):
    flat("RGBA", (*COLOUR, 127)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(load_images(image, 16, 16), load_images(image, 16, 16))
        assert image.mode == "RGBA" and image.size == (40, 32)


@pytest.mark.parametrize(
    "images, message",
    [
        ([], "images is empty"),
        (np.zeros((0, 32, 32, 3), np.uint8), "images is empty"),
        (np.zeros((32, 32, 3), np.float32), "image 1 of 1 is an array of float32 .* give uint8"),
        (np.zeros((32, 32), np.uint16), "array of uint16"),
        (np.zeros((3, 32, 32), np.uint8), r"shape \(3, 32, 32\)"),
        (np.zeros((1, 2, 32, 32, 3), np.uint8), r"shape \(1, 2, 32, 32, 3\)"),
        ([flat("RGB", 0), 7], "image 2 of 2 is of type int"),
        (flat("F", 0.5), "floating-point"),
        (flat("I", 65536), "outside 0...65535"),
        (flat("I", -1), "outside 0...65535"),
        (flat("RGB", 0, (15, 100)), "15 x 100 pixels; the shorter side must have at least 16"),
        (np.zeros((15, 100), np.uint8), "100 x 15 pixels"),
        (np.broadcast_to(np.uint8(0), (10_001, 10_000)), "more than 100 megapixels"),
    ],
)
def test_unusable_values(images, message):
    with pytest.raises(InputError, match=message):
        load_images(images, 16, 16)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("empty.png", b"", "0 bytes"),
        ("notes.txt", b"not a picture at all", "not a picture that Pillow can read"),
        ("head.png", b"\x89PNG\r\n\x1a\n", "damaged|not a picture"),
    ],
)
def test_unusable_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} .*({message})"):
        load_images(tmp_path / name, 16, 16)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "gif", "bmp"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_files(tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=rf"cut.{suffix} is (damaged or cut short|not a picture)"):
        load_images(path, 16, 16)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="none.png cannot be read .No such file"):
        load_images(tmp_path / "none.png", 16, 16)
    with pytest.raises(InputError, match="is not a file"):
        load_images(str(tmp_path), 16, 16)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path):
    flat("RGB", 0).save(tmp_path / "secret.png")
    (tmp_path / "secret.png").chmod(0)
    with pytest.raises(InputError, match="secret.png cannot be read .Permission denied"):
        load_images(tmp_path / "secret.png", 16, 16)


@pytest.mark.parametrize("size", [(10_000, 10_001), (20_000, 20_000), (10, 60_000)])
def test_size_is_judged_by_the_header(tmp_path, size):
    """The files hold no pixels, so decoding them would tell another story; Pillow's own alarm stays silent."""
    path = write_png(tmp_path / "huge.png", *size, 8, 2)
    with warnings.catch_warnings(), pytest.raises(InputError, match="100 megapixels|shorter side"):
        warnings.simplefilter("error")
        load_images(path, 16, 16)


def test_just_under_the_limit_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_images(np.broadcast_to(np.uint8(9), (10_000, 10_000)), 16, 16).max() == 9


def test_psnr():
    """Decibels of each pair; equal pictures have a large number, not an infinite one."""
    black = np.zeros((2, 4, 4, 3), np.uint8)
    grey = np.stack([black[0] + 255, black[0] + 51])
    np.testing.assert_allclose(psnr(black, grey), [0, 20 * np.log10(5)])
    assert (psnr(black, black) > 100).all()


def noise(width, height, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_control_images_of_the_pictures_size_are_untouched(tmp_path):
    """In 0...1, one for all photos or one a photo."""
    one, other = noise(48, 32), noise(48, 32, seed=1)
    Image.fromarray(one).save(tmp_path / "one.png")
    both = load_controls([tmp_path / "one.png", other], 2, 32, 48)
    assert both.dtype == np.float32 and both.min() == 0 and both.max() == 1
    np.testing.assert_array_equal(both, np.stack([one, other]).astype(np.float32) / 255)
    np.testing.assert_array_equal(load_controls(one, 3, 32, 48), np.stack([both[0]] * 3))


def test_control_images_of_another_size_are_resized():
    assert load_controls(flat("RGB", COLOUR, (96, 64)), 1, 32, 48).shape == (1, 32, 48, 3)
    ramp = np.broadcast_to(2 * np.arange(96, dtype=np.uint8)[:, None], (64, 96, 3)).copy()  # 0, 2, 4 ... 190
    found = load_controls(ramp, 1, 32, 48)[0, 16] * 255
    np.testing.assert_allclose(found[4:-4], np.broadcast_to(4 * np.arange(48)[4:-4, None] + 1, (40, 3)), atol=0.51)
    np.testing.assert_allclose(load_controls(flat("L", 51, (20, 16)), 1, 32, 40), 0.2)


@pytest.mark.parametrize("size, asked, fits", [
    ((1000, 563), (1920, 1080), True),  # 562.5 high, and no pixel is halved
    ((683, 512), (1024, 768), True),
    ((512, 683), (768, 1024), True),
    ((1000, 564), (1920, 1080), False),
    ((512, 512), (768, 512), False),
    ((512, 768), (768, 512), False),
])  # fmt: skip
def test_the_aspect_of_control_images(size, asked, fits):
    (width, height), image = asked, flat("RGB", COLOUR, size)
    if fits:
        assert load_controls(image, 1, height, width).shape == (1, height, width, 3)
        return
    with pytest.raises(InputError) as error:
        load_controls([flat("RGB", COLOUR, asked), image], 2, height, width)
    message = str(error.value)
    assert message.startswith(f"Control image 2 is {size[0]} x {size[1]} pixels")
    assert f"{width} x {height}" in message and "\n" not in message


def test_unusable_control_images(tmp_path):
    with pytest.raises(InputError, match="number of control images is 2, but the number of photos is 3"):
        load_controls([noise(32, 32)] * 2, 3, 32, 32)
    with pytest.raises(InputError, match="control images is empty"):
        load_controls([], 1, 32, 32)
    with pytest.raises(InputError, match="control image 1 of 1 is an array of float32"):
        load_controls(np.zeros((32, 32, 3), np.float32), 1, 32, 32)
    with pytest.raises(InputError, match="no.png cannot be read"):
        load_controls(tmp_path / "no.png", 1, 32, 32)
