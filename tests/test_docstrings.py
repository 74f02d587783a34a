"""Every public docstring says what it must: of parameters, shapes, ranges, errors and sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

import griffe
import public
import pytest
from raising import Source

_ARRAYS = {"Array", "ndarray", "ArrayLike"}
_NUMBERS = {"int", "float"}
_SHAPE = re.compile(r"\((?:\w+(?: [-+*] \w+)?|\.\.\.),(?: (?:\w+(?: [-+*] \w+)?|\.\.\.),?)*\)")
_AXES = re.compile(r"\w+_[begrnmshkdtyxc]+")
"""A name whose suffix is a shape, in the letters of `rival_jax.shapes`."""
_AS_FOR = re.compile(r"\bas (?:for|of) `")
_IN_NUMBERS = re.compile(r"\d|\b(?:[B-HJ-Zb-z]|pixels|bytes|seconds|decibels|dB|how many|how often|number)\b")

PUBLISHED = {
    "rival_jax": "ControlNet IPAdapter Interpolation.closest canny learn_concept",
    "rival_jax.RivalPipeline": "invert vary generate edit inpaint interpolate optimise_null_text load_lora_weights "
    "load_textual_inversion",
    "rival_jax.metrics": "Judge LPIPS.from_pretrained interval kid palette_distance sequence_scores",
    "rival_jax.baselines.methods": "img2img masactrl plug_and_play noised_reference",
    "rival_jax.attend": "FromReference Between between FromMaps FromReferenceMaps Later WithPictures",
    "rival_jax.schedule": "Schedule Schedule.second_order split mix",
}
"""What carries out a method that somebody published, and must say where."""

CANNOT = {
    "rival_jax.Interpolation.scores": "a sequence has three frames or more",
    "rival_jax.RivalPipeline.distance": "the embedded judge is always there",
}
"""What never raises what its source may raise, and why."""

EVERYTHING = dict(public.everything())
SOURCED = {f"{home}.{name}" for home, names in PUBLISHED.items() for name in names.split()}


@cache
def source(package: griffe.Module) -> Source:
    return Source(package)


def words(annotation: object, package: griffe.Module) -> set[str]:
    """The names in an annotation, and in the package's aliases that it is made of."""
    found = set()
    for part in annotation.iterate(flat=True) if isinstance(annotation, griffe.Expr) else ():
        if isinstance(part, griffe.ExprName):
            found.add(part.name)
            home = part.canonical_path
            if home.startswith(f"{package.name}."):
                alias = package[home.removeprefix(f"{package.name}.")]
                found |= words(alias.value, package) if alias.is_attribute else set()
    return found


def has_shape(text: str) -> bool:
    return bool(_SHAPE.search(text) or _AS_FOR.search(text))


def is_said(thing: griffe.Object) -> Iterator[str]:
    """A docstring, and a text of each field."""
    if not thing.docstring:
        yield "has no docstring"
    if thing.is_class:
        yield from (f"says nothing of {name}" for name in public.fields(thing) if not public.said_of(thing, name))


def names_parameters(thing: griffe.Object) -> Iterator[str]:
    """Each parameter, as an entry or in backticks."""
    for parameter in public.parameters(thing):
        if not said_of_parameter(thing, parameter.name):
            yield f"does not name {parameter.name}"


def states_shapes(thing: griffe.Object) -> Iterator[str]:
    """Of arrays that are taken, held or returned."""
    prose = public.doc(thing).prose
    for name, annotation, text in described(thing):
        is_array = words(annotation, thing.package) & _ARRAYS or re.search(r"\barrays?\b", text)
        if is_array and not has_shape(text) and not _AXES.fullmatch(name):
            yield f"has no shape for {name}"
    if words(returned(thing), thing.package) & _ARRAYS and not has_shape(prose):
        yield "has no shape for what it returns"


def states_numbers(thing: griffe.Object) -> Iterator[str]:
    """A range, a unit (also in the name) or a letter that stands for the number."""
    for name, annotation, text in described(thing):
        kinds = words(annotation, thing.package)
        said = f"{re.sub('`[^`]*`', '', text)} {'seconds' if 'seconds' in name else ''}"
        if kinds & _NUMBERS and "Callable" not in kinds and not (_IN_NUMBERS.search(said) or _AS_FOR.search(text)):
            yield f"has no range or unit for {name}"


def states_errors(thing: griffe.Object) -> Iterator[str]:
    """What the source may raise on purpose, and nothing else."""
    text = public.text(thing)
    raised = source(thing.package).raised(thing.path)
    told = {name for name in ("InputError", "JobError") if name in text} if re.search(r"\bRaises\b", text) else set()
    if raised - told and "Raises what `" not in text:
        yield f"does not say that it raises {' and '.join(sorted(raised - told))}"
    if told - raised and not thing.is_class:
        yield f"says that it raises {' and '.join(sorted(told - raised))}, which nothing does"


def names_source(thing: griffe.Object) -> Iterator[str]:
    """Where a published method is from."""
    if "Source: " not in public.text(thing):
        yield "names no source"


RULES = (is_said, names_parameters, states_shapes, states_numbers, states_errors)


def described(thing: griffe.Object) -> Iterator[tuple[str, object, str]]:
    """Name, annotation and text of each parameter or field."""
    for parameter in public.parameters(thing):
        yield parameter.name, parameter.annotation, said_of_parameter(thing, parameter.name)
    if thing.is_class:
        for name, field in public.fields(thing).items():
            yield name, field.annotation, public.said_of(thing, name)


def said_of_parameter(function: griffe.Object, name: str) -> str:
    """A parameter's entry, or the whole prose where that has its name in backticks."""
    own = public.doc(function)
    return own.texts.get(name) or (own.prose if f"`{name}`" in own.prose else "")


def returned(thing: griffe.Object) -> object:
    """The annotation of what a function returns, or of a property's value."""
    return thing.annotation if isinstance(thing, griffe.Function | griffe.Attribute) else None


def complaints(thing: griffe.Object, rules: Iterable = RULES) -> list[str]:
    return [said for rule in rules for said in rule(thing)]


@pytest.mark.parametrize("name", EVERYTHING)
def test_docstring(name):
    rules = [*RULES, names_source] if name in SOURCED else list(RULES)
    if name in CANNOT:
        rules.remove(states_errors)
        assert complaints(EVERYTHING[name], [states_errors])
    assert complaints(EVERYTHING[name], rules) == []


@pytest.mark.parametrize("name", ["arguments", "baselines.arguments", "interpolation.arguments", "jobs.command"])
def test_every_flag_has_a_help_text(name):
    """A job's own flags are its public fields."""
    commands = [each for each in public.module(f"rival_jax.{name}").classes.values() if not each.is_alias]
    flags = [(own, flag) for own in commands for flag in public.fields(own) if flag != "job"]
    assert len(flags) > 10
    assert [f"{own.name}.{flag}" for own, flag in flags if not public.said_of(own, flag)] == []


def test_all_that_is_named_is_there():
    assert {*SOURCED, *CANNOT} <= EVERYTHING.keys()
    assert all(public.module(name).docstring for name in public.MODULES)
    assert len(EVERYTHING) > 100


BAD = [
    ("def it(x): ...", "has no docstring"),
    ('class it:\n    """A class."""\n    name: str', "says nothing of name"),
    ('def it(x):\n    """A function."""', "does not name x"),
    ('def it(x: np.ndarray):\n    """Takes `x` (float32)."""', "has no shape for x"),
    ('def it(x):\n    """A function.\n\n    Args:\n        x: an array.\n    """', "has no shape for x"),
    ('class it:\n    """A class.\n\n    x: float32.\n    """\n    x: Pixels', "has no shape for x"),
    ('def it() -> np.ndarray:\n    """A picture."""', "has no shape for what it returns"),
    ('def it(x: int | None):\n    """A function of `x`."""', "has no range or unit for x"),
    ('def it():\n    """A function."""\n    raise InputError("")', "does not say that it raises InputError"),
    ('def it():\n    """A function."""\n    raises()', "does not say that it raises JobError"),
    ('def it(x: Other):\n    """A function of `x`."""\n    x.value', "does not say that it raises JobError"),
    ('def it():\n    """A function. Raises InputError."""', "says that it raises InputError, which nothing does"),
    ('def it():\n    """A function."""', "names no source"),
]
GOOD = '''
def it(x: np.ndarray, height: int, width: int, out: str) -> Pixels:
    """Pictures (n, H, W, 3) uint8, written to `out`.

    Args:
        x: (n, h, w, c) float32.
        height, width: 8 ... 512, in pixels,
            multiples of 8.

    Raises InputError for a bad `x`. Source: nowhere.
    """
    try:
        raises()
    except JobError as error:
        raise InputError("") from error
'''
WORLD = """
import numpy as np
from jaxtyping import UInt8

Pixels = UInt8[np.ndarray, "n H W 3"]

def raises():
    raise JobError("")

class Other:
    @property
    def value(self):
        return raises()

"""


def loaded(folder, code):
    """A function or class `it` of a package with this code."""
    (folder / "world.py").write_text(WORLD + code)
    return griffe.load("world", search_paths=[folder])["it"]


@pytest.mark.parametrize("code, said", BAD)
def test_bad_docstrings_are_found(tmp_path, code, said):
    found = complaints(loaded(tmp_path, code), [*RULES, names_source])
    assert said in found


def test_good_docstrings_are_not(tmp_path):
    assert complaints(loaded(tmp_path, GOOD), [*RULES, names_source]) == []
