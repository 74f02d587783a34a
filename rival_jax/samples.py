"""The exemplars that travel inside the package."""

from __future__ import annotations

import json
from pathlib import Path

DIRECTORY = Path(__file__).parent / "assets" / "samples"
"""Where they lie."""


def captions() -> dict[str, str]:
    """What each shows, by the names of the files in `DIRECTORY`, pictures of 192 x 192 pixels."""
    return json.loads((DIRECTORY / "captions.json").read_text(encoding="utf-8"))


def default() -> tuple[Path, str]:
    """The path and the caption of the one that is varied where no photo is given: a butterfly in odd colours."""
    name = "butterfly-red-room.png"
    return DIRECTORY / name, captions()[name]
