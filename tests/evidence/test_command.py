"""`rival reproduce` as a user runs it, short."""

import pytest
from command import rival

from rival_jax.evidence import settings
from rival_jax.evidence.settings import Setting


@pytest.fixture
def short(monkeypatch):
    """Table 3 with two rows of two steps."""
    rows = tuple(
        Setting(name, options, (1.0, 0.2, 0.8), num_inference_steps=2)
        for name, options in (("baseline", {"attention_start": 0, "initial": "random", "align": "none"}), ("full", {}))
    )
    monkeypatch.setitem(settings.TABLES, "3", rows)


def test_a_table(short, tmp_path):
    """Printed, kept, and not measured twice."""
    flags = ("reproduce", "3", "--exemplars", 2, "-n", 2, "--out", tmp_path / "evidence")
    first = rival(*flags)
    where = f"{tmp_path / 'evidence'} has table-3.md."
    assert first.code == 0 and first.err.splitlines() == ["table 3 1/2", "table 3 2/2", where]
    assert first.out.startswith("2 held-out exemplars x 2 variations, model tiny in float32, judge embedded")
    assert first.out.strip() == (tmp_path / "evidence" / "table-3.md").read_text().strip()
    assert len(list((tmp_path / "evidence").glob("*.json"))) == 2
    assert rival(*flags).out == first.out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("7",), "7"),
        (("3", "--exemplars", 0), "exemplars is 0, but must be"),
        (("3", "-n", 0), "num_variations is 0, but must be"),
        (("3", "--clip", "nowhere"), "nowhere is not a directory"),
        (("quality", "--photos", "nowhere.png"), "nowhere.png"),
        (("3", "--photos", "nowhere.png"), "photos are for `rival reproduce quality` only"),
    ],
)
def test_bad_input(flags, sentence):
    result = rival("reproduce", *flags)
    assert result.code == 2 and sentence in result.err and result.err.count("\n") == 1
