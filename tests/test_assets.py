"""What travels with every installation."""

from pathlib import Path

import rival_jax


def test_size() -> None:
    """At most 40 MB."""
    files = (Path(rival_jax.__file__).parent / "assets").rglob("*")
    assert 1e6 < sum(file.stat().st_size for file in files if file.is_file()) <= 40e6
