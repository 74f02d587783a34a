"""A sample's bytes become upright RGB of its own size, or one sentence that names the sample."""

import hashlib
import os

import pytest
from command import save_photo
from PIL import Image
from test_images import write_png

from rival_jax.errors import InputError
from rival_jax.jobs.inputs.loading import load
from rival_jax.jobs.sample import Sample


def sample(path, name="cat/a.png"):
    return Sample(name, {"path": str(path)}, None, None)


def test_picture(tmp_path):
    path = save_photo(tmp_path / "a.png", size=(40, 24))
    loaded = load(sample(path))
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with Image.open(path) as image:
        assert loaded.image.mode == "RGB" and loaded.image.tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes_and_orientation(tmp_path, mode):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("I;16", (40, 24), 32896) if mode == "I;16" else Image.new("RGB", (40, 24), "white").convert(mode)
    image.save(tmp_path / "a.tif", exif=exif)
    loaded = load(sample(tmp_path / "a.tif"))
    assert loaded.image.mode == "RGB" and loaded.image.size == (24, 40)
    assert loaded.image.getpixel((5, 5)) == ((128,) * 3 if mode == "I;16" else (255,) * 3)


def _cut(path):
    save_photo(path)
    os.truncate(path, 400)


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: None, "was not read: .*a.png does not exist"),
        (lambda path: path.mkdir(), "was not read: .* is not a file"),
        (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
        (lambda path: path.write_text("<html>"), "is not a picture that Pillow can read"),
        (_cut, "is damaged or cut short"),
        (lambda path: write_png(path, 20_000, 20_000, 8, 2), "has more than 100 megapixels"),
        (lambda path: save_photo(path, size=(15, 40)), "is 15 x 40 pixels; the shorter side"),
        (lambda path: Image.new("F", (20, 20)).save(path, format="TIFF"), r"has floating-point pixels \(mode F\)"),
    ],
)
def test_unusable(tmp_path, write, message):
    write(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"^cat/caf\\xe9.png {message}") as caught:
        load(sample(tmp_path / "a.png", "cat/caf\udce9.png"))
    assert "\n" not in str(caught.value)
