"""One sample's picture, read and decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from PIL import Image

from rival_jax.errors import InputError
from rival_jax.images import decode_picture
from rival_jax.jobs.inputs.listing import read_bytes
from rival_jax.jobs.rows import readable
from rival_jax.jobs.sample import Sample


@dataclass(frozen=True)
class Loaded:
    """image: upright RGB of the picture's own size. sha256: hex digits, of the bytes as they were stored."""

    image: Image.Image
    sha256: str


def load(sample: Sample) -> Loaded:
    """The sample's picture. Raises InputError that names the sample, for whatever is no whole picture."""
    name = readable(sample.id)
    try:
        data = read_bytes(sample.where)
    except InputError as error:
        raise InputError(f"{name} was not read: {error}") from error
    return Loaded(decode_picture(data, name), hashlib.sha256(data).hexdigest())
