"""The pages under docs/reference say what the docstrings say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_it_is_current(tmp_path):
    """Else: python scripts/write_reference.py"""
    subprocess.run([sys.executable, ROOT / "scripts" / "write_reference.py", tmp_path], check=True)
    written, kept = (
        {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
        for folder in (tmp_path, ROOT / "docs" / "reference")
    )
    assert written == kept
