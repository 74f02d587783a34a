"""The command `rival` in this process, with what it printed, and photos to give it."""

import io
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rival_jax import cli


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def rival(*arguments) -> Result:
    """Exit code and both streams of `rival` with these arguments. Anything but SystemExit comes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("default")
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    return Result(code, out.getvalue(), err.getvalue())


def save_photo(path, seed=0, size=(20, 24), **options):
    """A picture of noise; its path."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path
