"""Pictures side by side: each where it belongs, with what is written beside it."""

import numpy as np
import pytest

from rival_jax.sheets import contact_sheet, grid


@pytest.mark.parametrize("side, cell", [(48, 192), (100, 200), (192, 192), (256, 256)])
def test_contact_sheet(side, cell):
    """Colours by column and row, found again at the middle of each cell."""
    levels = np.arange(8, dtype=np.uint8).reshape(2, 4, 1, 1, 1) * 30
    cells = np.broadcast_to(levels, (2, 4, side, side, 3))
    sheet = contact_sheet(cells[:, 0], cells[:, 1], cells[:, 2:])
    assert sheet.size == (4 * cell + 5 * 6, 28 + 2 * (cell + 6))
    for row in range(2):
        for column in range(4):
            middle = (6 + column * (cell + 6) + cell // 2, 28 + row * (cell + 6) + cell // 2)
            assert sheet.getpixel(middle) == (int(levels[row, column].item()),) * 3
    assert sheet.getpixel((3, 60)) == sheet.getpixel((sheet.width - 1, sheet.height - 1)) == (255, 255, 255)
    assert np.asarray(sheet)[:28].min() < 50  # headings


def test_names_and_captions():
    """Rows' names at the left, captions below their pictures and cut before the next ones."""
    cells = np.full((2, 3, 48, 48, 3), 99, np.uint8)
    sheet = np.asarray(grid(cells, rows=["first", "second"], captions=["", "", "", "", "a red house " * 40, ""]))
    step = 192 + 6 + 4 * 18
    assert sheet.shape == (6 + 2 * step, 110 + 3 * 198, 3)
    pictures = sheet == 99
    assert pictures[6:198, 110:302].all() and pictures[6 + step : 198 + step, 506:698].all()
    assert sheet[90:110, 6:104].min() < 50 and sheet[90 + step : 110 + step, 6:104].min() < 50
    below = sheet[198 + step : 6 + 2 * step]
    assert below[:, 308:506].min() < 50 and below[:, :308].min() == 255 and below[:, 506:].min() == 255
    assert sheet[198 : 6 + step].min() == 255


def test_a_long_name():
    """Makes room for itself."""
    cells = np.full((2, 1, 48, 48, 3), 99, np.uint8)
    short, long = (np.asarray(grid(cells, rows=["first", name])) for name in ("second", "a name of many words"))
    moved = long.shape[1] - short.shape[1]
    assert moved > 0 and (long[6:198, 110 + moved : 302 + moved] == 99).all()
    assert long[290:320, 6:].min() < 50 and (long[:, 110 + moved - 6 : 110 + moved] == 255).all()
