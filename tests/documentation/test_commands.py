"""Runs what the pages show, as it stands there and in its order, in a folder with a few photos."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from pages import PAGES, ROOT, blocks
from PIL import Image
from shell import Shell
from workspace import furnish, repositories

from rival_jax.weights import locate

pytestmark = pytest.mark.documentation
SLOW = [page for page in PAGES if any("slow" in block.words for block in blocks(page))]
_LONG = ("applications.md", "interpolation.md", "concepts.md", "baselines.md")
"""Each method and application compiles programs of its own."""
EACH = [pytest.param(page, marks=[pytest.mark.slow] * (page.name in _LONG)) for page in PAGES]


@pytest.fixture(scope="module")
def shell():
    with tempfile.TemporaryDirectory(prefix="rival") as folder:
        yield Shell.install(Path(folder))


@pytest.fixture
def hub(tmp_path_factory, monkeypatch):
    """Hub ids lead to what was made here."""
    there = repositories(tmp_path_factory.mktemp("hub"))
    monkeypatch.setattr(locate, "_download", lambda kind, name, files: there[name])


def run(page, shell, folder, slow):
    furnish(folder)
    names = {"__name__": "page"}
    for block in blocks(page):
        if block.tested_by or ("slow" in block.words) != slow:
            continue
        place = f"{page.name}, line {block.line}"
        if block.language == "bash":
            code, said = shell(block.text, folder)
            assert code == 0, f"{place} ended with {code}:\n{block.text}\n{said}"
        elif block.language == "python":
            exec(compile(block.text, place, "exec"), names)


@pytest.mark.parametrize("page", EACH, ids=lambda page: page.name)
def test_page(page, shell, hub, tmp_path):
    run(page, shell, tmp_path, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=lambda page: page.name)
def test_slow_blocks(page, shell, hub, tmp_path):
    run(page, shell, tmp_path, slow=True)


@pytest.mark.slow
def test_pictures(shell, tmp_path):
    """Those of docs/ are what their commands draw, but for rounding on another machine."""
    furnish(tmp_path)
    (tmp_path / "docs").mkdir()
    code, said = shell("rival vary && cp out/sheet.png docs/ && python scripts/draw_applications.py", tmp_path)
    assert code == 0, said
    for made in (tmp_path / "docs").glob("*.png"):
        with Image.open(made) as picture, Image.open(ROOT / "docs" / made.name) as kept:
            assert picture.size == kept.size, made.name
            difference = np.abs(np.asarray(picture, float) - np.asarray(kept, float)).mean()
        assert difference < 3, f"{made.name} differs by {difference:.1f} grey levels from what docs/ has"
