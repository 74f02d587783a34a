"""Files say that they were generated and how, and nothing that their owner did not ask for."""

import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from made import row_of
from PIL import Image

from rival_jax.jobs.sample import Sample
from rival_jax.jobs.shards.provenance import encode, read

FORMATS = ("png", "jpeg", "webp")
ROW = row_of(Sample("private/my-holiday.jpg", {}, "cat", None), 1, file_name="my-holiday-0123_v1.png")
SMOOTH = Image.fromarray(np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8))
_EXTENSION = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def packet(data: bytes) -> ElementTree.Element:
    info = opened(data).info
    return ElementTree.fromstring(info.get("xmp") or info["XML:com.adobe.xmp"])


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("row", [None, ROW])
def test_pictures_come_back(image_format, row):
    data = encode(SMOOTH, image_format, row)
    assert data == encode(SMOOTH, image_format, row)
    image = opened(data)
    assert (image.format, image.mode, image.size) == (image_format.upper(), "RGB", (64, 48))
    difference = np.abs(np.asarray(image, int) - np.asarray(SMOOTH, int)).max()
    assert difference == 0 if image_format == "png" else difference < 12


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_generated_picture_says_so(image_format):
    data = encode(SMOOTH, image_format, ROW)
    said = {name: packet(data).findtext(f".//{_EXTENSION}{name}") for name in ("DigitalSourceType", "AISystemUsed")}
    assert said == {
        "DigitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
        "AISystemUsed": "rival_jax",
    }
    assert "0123abcd" in (packet(data).findtext(f".//{_EXTENSION}AISystemVersionUsed") or "")
    assert packet(data).findtext(f".//{_EXTENSION}AIPromptInformation") == ROW.prompt
    parameters = read(data)
    assert parameters is not None
    assert parameters == {name: getattr(ROW, name) for name in parameters}
    assert parameters.keys() >= {"source_sha256", "seed", "prompt", "guidance_scale", "model"}


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_exemplars_name_is_not_told(image_format):
    assert b"holiday" not in encode(SMOOTH, image_format, ROW)


@pytest.mark.parametrize("image_format", FORMATS)
def test_nothing_is_said_without_a_row(image_format):
    assert read(encode(SMOOTH, image_format, None)) is None


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize(
    "text", ["ümlaut 猫 🐈", 'a "b" <c> ]]> & d', "two\r\nlines\t", "\x00\x1b\ud800\uffff\\u0041", ""]
)
def test_any_prompt_comes_back(image_format, text):
    parameters = read(encode(SMOOTH, image_format, replace(ROW, prompt=text, caption=text)))
    assert parameters is not None and parameters["prompt"] == parameters["caption"] == text


@pytest.mark.parametrize("text", ["&" * 10**5, "🐈" * 10**5, "\x00" * 10**5])
def test_a_prompt_of_any_length_fits_into_a_jpeg(text):
    parameters = read(encode(SMOOTH, "jpeg", replace(ROW, prompt=text, negative_prompt=text, caption=text)))
    assert parameters is not None and parameters["prompt"] == text[:2000] + "…"


@pytest.mark.parametrize("image_format", FORMATS)
def test_what_came_with_the_picture_is_not_kept(image_format):
    image = SMOOTH.copy()
    secrets = {"icc_profile": b"secret" * 30, "comment": b"secret", "exif": b"Exif\0\0secret", "dpi": (72, 72)}
    image.info = secrets | {"xmp": b"secret"}
    assert encode(image, image_format, ROW) == encode(SMOOTH, image_format, ROW)
    assert image.info.keys() == {*secrets, "xmp"}


def test_jpegs_keep_their_colours_resolution():
    image = opened(encode(SMOOTH, "jpeg", ROW))
    assert {sampling[1:3] for sampling in image.layer} == {(1, 1)}  # pyright: ignore[reportAttributeAccessIssue]


def test_other_programs_packets_are_not_ours():
    for foreign in (b"<not xml", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"):
        buffer = io.BytesIO()
        SMOOTH.save(buffer, "WEBP", xmp=foreign)
        assert read(buffer.getvalue()) is None
    with pytest.raises(OSError):
        read(json.dumps({}).encode())
