"""Writes docs/reference, the pages of all that is public, from the docstrings: `python scripts/write_reference.py`.

What is public is told in `tests/public.py`. Nothing is imported. Another folder than docs/reference may be named.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import public  # noqa: E402

_WIDTH = 100
_ESCAPED = {"**": r"\*\*", "<": "&lt;"}
_STARS: Mapping[griffe.ParameterKind | None, str] = {
    griffe.ParameterKind.var_positional: "*",
    griffe.ParameterKind.var_keyword: "**",
}
_HEAD = """# Reference

Written from the docstrings by `python scripts/write_reference.py`; not to be edited by hand.

Public are the names on these pages, and what they say. All else in the package may change without notice.

| module | what for |
|---|---|
"""
_KEY = """
Shapes are told in the letters of this table; capital ones are pixels, and the counts E, N and T:

```
"""

Anchors = Mapping[str, str]
"""Of headings, as GitHub makes them."""


def main(folder: Path = ROOT / "docs" / "reference") -> None:
    """Writes a page for each module, and one that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = (f"| [`{name}`]({name}.md) | {why} |\n" for name, why in public.MODULES.items())
    key = public.text(public.module("rival_jax.shapes")).partition("\n\n")[2]
    _write(folder / "README.md", f"{_HEAD}{''.join(rows)}{_KEY}{key}\n```")
    for name in public.MODULES:
        _write(folder / f"{name}.md", page(name))


def page(name: str) -> str:
    """A module: what it is for, its names, and each of them."""
    names = public.public(name)
    anchors = _anchors(names)
    parts = [f"# `{name}`", public.summary(public.module(name)), "\n".join(_contents(names, anchors))]
    for key, thing in names.items():
        parts += _section(key, thing, anchors)
    if types := list(_types(names.values())):
        parts += ["## Types", "Named above, and not explained there.", "\n".join(types)]
    return "\n\n".join(filter(None, parts))


def _anchors(names: Mapping[str, griffe.Object]) -> Anchors:
    """Of names and of members, `Class.name`; one that is taken by another heading gets a number."""
    found: dict[str, str] = {}
    taken = Counter[str]()
    for key, thing in names.items():
        for heading in (key, *(f"{key}.{name}" for name in _inner(thing))):
            anchor = re.sub(r"[^a-z0-9_]", "", heading.lower())
            found[heading] = f"#{anchor}-{taken[anchor]}" if taken[anchor] else f"#{anchor}"
            taken[anchor] += 1
    return found


def _contents(names: Mapping[str, griffe.Object], anchors: Anchors) -> Iterator[str]:
    """A line for each name; of a class with its methods."""
    for key, thing in names.items():
        inner = ", ".join(f"[`{name}`]({anchors[f'{key}.{name}']})" for name in _inner(thing))
        yield f"- [`{key}`]({anchors[key]}){': ' if inner else ''}{inner}"


def _inner(thing: griffe.Object) -> dict[str, griffe.Object]:
    """The methods of a class, which get headings of their own."""
    own = public.members(thing) if thing.is_class else {}
    return {name: member for name, member in own.items() if member.is_function}


def _section(key: str, thing: griffe.Object, anchors: Anchors) -> Iterator[str]:
    """A function or a constant, or a class with its methods."""
    inner = _inner(thing)
    anchors = {**anchors, **{name: anchors[f"{key}.{name}"] for name in inner}}
    yield f"## `{key}`"
    yield from _body(thing, key, anchors)
    for name, member in inner.items():
        yield f"### `{key}.{name}`"
        yield from _body(member, f"{key}.{name}" if "classmethod" in member.labels else name, anchors)


def _body(thing: griffe.Object, name: str, anchors: Anchors) -> Iterator[str]:
    """Signature, paragraphs, and parameters or fields as a list; what follows these in the docstring stays behind."""
    if isinstance(thing, griffe.Function):
        yield f"```python\n{_signature(thing, name)}\n```"
    elif isinstance(thing, griffe.Attribute):
        yield f"```python\n{thing.source}\n```"
    blocks = public.doc(thing).blocks
    first = next((place for place, block in enumerate(blocks) if isinstance(block, list)), len(blocks))
    if thing.is_class and (fields := list(_fields(thing, anchors))):
        blocks = [*blocks[:first], "\n".join(fields), *blocks[first + 1 :]]
    for block in blocks:
        if isinstance(block, str):
            yield block if block.startswith("- ") else _paragraph(block, anchors)
        else:
            yield "\n".join(_entry(names, said, anchors) for names, said in block)


def _entry(names: Iterable[str], said: str, anchors: Anchors) -> str:
    return f"- {', '.join(f'**`{name}`**' for name in names)}: {_linked(said, anchors)}"


def _fields(owner: griffe.Object, anchors: Anchors) -> Iterator[str]:
    """Fields and properties; those that share a text are one entry."""
    values = {name: each for name, each in public.members(owner).items() if isinstance(each, griffe.Attribute)}
    for said, names in groupby(values, key=partial(public.said_of, owner)):
        listed = (
            f"**`{name}`** (`{_annotation(values[name])}{_after(' = ', _default(values[name]))}`)" for name in names
        )
        yield f"- {', '.join(listed)}: {_linked(said, anchors)}"


def _annotation(value: griffe.Attribute) -> object:
    """Without what is meant for the command line."""
    kind = value.annotation
    if (
        isinstance(kind, griffe.ExprSubscript)
        and str(kind.left) == "Annotated"
        and isinstance(kind.slice, griffe.ExprTuple)
    ):
        return kind.slice.elements[0]
    return kind


def _default(value: griffe.Attribute) -> object:
    """Of a field; in dataclasses' and pydantic's own words it is an argument."""
    if not public.is_field(value):
        return None
    if isinstance(value.value, griffe.ExprCall) and str(value.value.function).lower() == "field":
        given = {own.name: own.value for own in value.value.arguments if isinstance(own, griffe.ExprKeyword)}
        return given.get("default")
    return value.value


def _signature(function: griffe.Function, name: str) -> str:
    """As it is written, without self; a parameter a line where it is long."""
    parts = []
    for parameter in public.parameters(function):
        if parameter.kind is griffe.ParameterKind.keyword_only and "*" not in parts:
            parts.append("*")
        default = "" if parameter.kind in _STARS else _after(" = " if parameter.annotation else "=", parameter.default)
        annotation = _after(": ", parameter.annotation)
        parts.append(f"{_STARS.get(parameter.kind, '')}{parameter.name}{annotation}{default}")
    end = f"){_after(' -> ', function.returns)}"
    line = f"{name}({', '.join(parts)}{end}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), end])


def _after(mark: str, what: object) -> str:
    return "" if what is None else f"{mark}{what}"


def _types(things: Iterable[griffe.Object]) -> Iterator[str]:
    """The package's aliases and classes in annotations that the page does not explain: where or what each is."""
    found, explained = {}, set()
    for thing in things:
        explained.add(thing.path)
        for member in public.members(thing).values() if thing.is_class else [thing]:
            own = [parameter.annotation for parameter in public.parameters(member)]
            own.append(getattr(member, "returns", None) or getattr(member, "annotation", None))
            names = (part for each in own if isinstance(each, griffe.Expr) for part in each.iterate(flat=True))
            paths = {part.canonical_path for part in names if isinstance(part, griffe.ExprName)}
            for path in (path.removeprefix("rival_jax.") for path in paths if path.startswith("rival_jax.")):
                kind = public.target(public.package()[path])
                found[kind.path] = kind
    for kind in sorted(found.values(), key=lambda kind: kind.name.lower()):
        if kind.path not in explained:
            what = f"`{kind.value}`" if isinstance(kind, griffe.Attribute) else f"`{kind.path}`"
            yield f"- **`{kind.name}`**: {what}. {public.summary(kind)}".rstrip()


def _paragraph(text: str, anchors: Anchors) -> str:
    """With what is raised, and where it is from, in paragraphs of their own."""
    text = re.sub(r"(?:(?<=[.)])\s|^)(Raises|Source:|Differs:)(?=\s)", r"\n\n**\1**", _linked(text, anchors))
    return text.strip()


def _linked(text: str, anchors: Anchors) -> str:
    """In a line, with links to what it names on the page; what Markdown would take for its own is escaped."""

    def mark(found: re.Match[str]) -> str:
        word = found[0]
        name = word.strip("`")
        if name in anchors:
            return f"[{word}]({anchors[name]})"
        return _ESCAPED.get(word) or word

    return re.sub(r"`[^`]*`|\*\*|<", mark, " ".join(text.split()))


def _write(file: Path, text: str) -> None:
    file.write_text(f"{text.rstrip()}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
