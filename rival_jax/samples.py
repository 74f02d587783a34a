"""The exemplars that travel inside the package."""

from __future__ import annotations

import json
from pathlib import Path

DIRECTORY = Path(__file__).parent / "assets" / "samples"


def captions() -> dict[str, str]:
    """File name -> caption."""
    return json.loads((DIRECTORY / "captions.json").read_text(encoding="utf-8"))


def default() -> tuple[Path, str]:
    """The exemplar that is varied where no photo is given, and its caption: one in odd colours."""
    name = "butterfly-red-room.png"
    return DIRECTORY / name, captions()[name]
