"""Pictures side by side in one: on white, small ones enlarged, with headings, row names and captions."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL, GAP, HEADER, FONT = 192, 6, 28, 15  # pixels
_ROW_NAME = 110  # pixels; more where a name needs it
_LINES, _LINE = 4, 18  # of a caption, pixels of one
_LETTERS = 24


def contact_sheet(
    exemplars: np.ndarray, reconstructions: np.ndarray, variations: np.ndarray, name: str = "variation"
) -> Image.Image:
    """One row an exemplar: exemplar | reconstruction | its variations, headed by `name` and their number.

    Args:
        exemplars, reconstructions: uint8 (E, H, W, 3).
        variations: uint8 (E, N, H, W, 3).
    """
    cells = np.concatenate([exemplars[:, None], reconstructions[:, None], variations], axis=1)
    variation_names = [f"{name} {n + 1}" for n in range(variations.shape[1])]
    return grid(cells, ["exemplar", "reconstruction", *variation_names])


def grid(
    cells: np.ndarray, columns: Sequence[str] = (), rows: Sequence[str] = (), captions: Sequence[str] = ()
) -> Image.Image:
    """Pictures in rows and columns.

    Args:
        cells: (R, C, H, W, 3) uint8; smaller ones than 192 pixels are enlarged by a whole factor.
        columns: C headings, or none.
        rows: R names, or none.
        captions: R x C of them, row by row, or none; cut after four lines.
    """
    count, width_count, height, width, _ = cells.shape
    factor = math.ceil(CELL / min(height, width, CELL))
    height, width = height * factor, width * factor
    font = ImageFont.load_default(FONT)
    widest = max((math.ceil(font.getlength(name)) for name in rows), default=0)
    top, left = HEADER if columns else GAP, max(_ROW_NAME, widest + 2 * GAP) if rows else GAP
    step_x, step_y = width + GAP, height + GAP + (_LINES * _LINE if captions else 0)

    sheet = Image.new("RGB", (left + width_count * step_x, top + count * step_y), "white")
    draw = ImageDraw.Draw(sheet)
    for number, heading in enumerate(columns):
        draw.text((left + number * step_x + width / 2, top / 2), heading, fill="black", font=font, anchor="mm")
    for number, name in enumerate(rows):
        draw.text((GAP, top + number * step_y + height / 2), name, fill="black", font=font, anchor="lm")
    for number, picture in enumerate(cells.reshape(-1, *cells.shape[2:])):
        x, y = left + number % width_count * step_x, top + number // width_count * step_y
        sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), (x, y))
        if captions:
            lines = textwrap.wrap(captions[number], _LETTERS)[:_LINES]
            draw.text((x, y + height), "\n".join(lines), fill="black", font=font, spacing=2)
    return sheet
