"""Values of files in the types of the dataclass that takes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from rival_jax import InputError
from rival_jax.typed import typed


@dataclass
class Schema:
    count: int
    scale: float
    switch: bool
    name: str
    folder: Path
    kind: Literal["a", "b"]
    size: int | None
    numbers: tuple[int, ...]
    folders: tuple[Path, ...]


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("count", 3, 3),
        ("scale", 3, 3),
        ("scale", 0.5, 0.5),
        ("switch", False, False),
        ("name", "", ""),
        ("folder", "x/y", Path("x/y")),
        ("kind", "b", "b"),
        ("size", None, None),
        ("size", 3, 3),
        ("numbers", 3, (3,)),
        ("numbers", [3, 4], (3, 4)),
        ("numbers", (), ()),
        ("folders", ["x"], (Path("x"),)),
    ],
)
def test_values(name, value, expected):
    result = typed("The file's", {name: value}, Schema)[name]
    assert result == expected and type(result) is type(expected)


@pytest.mark.parametrize(
    "name, value, accepted",
    [
        ("count", 3.0, "a whole number"),
        ("count", True, "a whole number"),
        ("count", None, "a whole number"),
        ("scale", "3", "a finite number"),
        ("scale", True, "a finite number"),
        ("scale", float("nan"), "a finite number"),
        ("scale", float("inf"), "a finite number"),
        ("switch", 1, "true or false"),
        ("name", 3, "text"),
        ("name", ["x"], "text"),
        ("folder", 3, "a path as text"),
        ("kind", "c", "'a', 'b'"),
        ("kind", ["a"], "'a', 'b'"),
        ("size", "3", "a whole number"),
        ("numbers", [3, "4"], "a whole number"),
        ("numbers", {"a": 1}, "a whole number"),
    ],
)
def test_unusable_values(name, value, accepted):
    with pytest.raises(InputError) as error:
        typed("The file's", {name: value}, Schema)
    assert str(error.value) == f"The file's {name} = {value!r} is not supported; accepted: {accepted}."
