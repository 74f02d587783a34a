"""What is public, in one place, and its docstrings as the reference and its tests read them; nothing is imported.

`scripts/write_reference.py` writes them as pages, `test_docstrings.py` holds them to their rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]

MODULES = {
    "rival_jax": "the pipeline, what it takes and what it returns",
    "rival_jax.jobs": "datasets, by jobs",
    "rival_jax.metrics": "what tells a good picture from a bad one; some of it the pipeline takes",
    "rival_jax.baselines.methods": "other methods, drawn by the same networks",
    "rival_jax.attend": "who attends to whom: the seam for new methods",
    "rival_jax.schedule": "noise levels and steps between them: a pipeline's `schedule`",
    "rival_jax.samples": "the exemplars that travel inside the package",
    "rival_jax.sheets": "pictures side by side",
    "rival_jax.errors": "what is raised on purpose",
}
"""Public are these modules' names (`__all__` where they have it) and the public members of their classes, inherited
ones too. All else may change without notice."""

Entries = list[tuple[tuple[str, ...], str]]
"""What a docstring says of parameters or fields: names that share a text, and the text."""

_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")


@dataclass(frozen=True)
class Doc:
    """A docstring taken apart: paragraphs of prose, and entries, in order."""

    blocks: list[str | Entries]

    @property
    def prose(self) -> str:
        """Without the entries."""
        return "\n\n".join(block for block in self.blocks if isinstance(block, str))

    @property
    def texts(self) -> dict[str, str]:
        """What the entries say of each name."""
        entries = (entry for block in self.blocks if isinstance(block, list) for entry in block)
        return {name: text for names, text in entries for name in names}


def parsed(text: str, names: Iterable[str]) -> Doc:
    """A docstring of something with these parameters or fields: `name: text` or `name, other: text` begins an entry."""
    known, blocks, is_open = set(names), [], False
    for line in map(str.strip, text.splitlines()):
        found = _ENTRY.fullmatch(line)
        if found and known.issuperset(own := tuple(found[1].split(", "))):
            if not (blocks and isinstance(blocks[-1], list)):
                blocks.append([])
            blocks[-1].append((own, found[2]))
            is_open = True
        elif not line or line == "Args:":
            is_open = False
        elif is_open and isinstance(blocks[-1], list):
            own, said = blocks[-1][-1]
            blocks[-1][-1] = own, f"{said} {line}"
        elif is_open:
            blocks[-1] += f"\n{line}"
        else:
            blocks.append(line)
            is_open = True
    return Doc(blocks)


def text(thing: griffe.Object) -> str:
    """A docstring as it is written, or nothing."""
    return thing.docstring.value if thing.docstring else ""


def summary(thing: griffe.Object) -> str:
    """The first paragraph of a docstring, in a line."""
    return " ".join(text(thing).partition("\n\n")[0].split())


def doc(thing: griffe.Object) -> Doc:
    """The docstring of a function, class or attribute."""
    names = ()
    if thing.is_function:
        names = (parameter.name for parameter in parameters(thing))
    elif thing.is_class:
        names = fields(thing)
    return parsed(text(thing), names)


@cache
def package() -> griffe.Module:
    """All of rival_jax."""
    loaded = griffe.load("rival_jax", search_paths=[ROOT])
    assert isinstance(loaded, griffe.Module)
    return loaded


def module(name: str) -> griffe.Module:
    """A module by its full name."""
    return package()[name.removeprefix("rival_jax").lstrip(".")] if name != "rival_jax" else package()


def public(name: str) -> dict[str, griffe.Object]:
    """What is public of a module: its `__all__`, or the names without an underscore that it defines."""
    own = module(name)
    own_names = own.exports or [key for key, member in own.members.items() if not member.is_alias and key[0] != "_"]
    return {str(key): target(own[str(key)]) for key in own_names if not str(key).startswith("__")}


def target(thing: griffe.Object | griffe.Alias) -> griffe.Object:
    """What a name stands for where it is defined."""
    return thing.final_target if isinstance(thing, griffe.Alias) else thing


def members(owner: griffe.Object) -> dict[str, griffe.Object]:
    """The public members of a class, those of its bases first.

    `__call__` is one where it has a docstring of its own; else the class says what calling a value of it does. What is
    assigned to a bare name is for pydantic.
    """
    found = {name: target(member) for name, member in owner.all_members.items()}
    return {name: member for name, member in found.items() if _is_member(name, member)}


def _is_member(name: str, member: griffe.Object) -> bool:
    if isinstance(member, griffe.Attribute) and not is_field(member) and "property" not in member.labels:
        return False
    return name[0] != "_" or (name == "__call__" and member.docstring is not None)


def fields(owner: griffe.Object) -> dict[str, griffe.Attribute]:
    """The annotated fields of a class."""
    own = members(owner).items()
    return {name: each for name, each in own if isinstance(each, griffe.Attribute) and is_field(each)}


def is_field(attribute: griffe.Attribute) -> bool:
    """Whether an attribute of a class is a field; properties are attributes too."""
    return attribute.annotation is not None and "property" not in attribute.labels


def said_of(owner: griffe.Object, name: str) -> str:
    """What is said of a field: under it, or in the docstring of its class or of the base that has it.

    A field that has the name of its type is explained by that.
    """
    field = target(owner.all_members[name])
    if field.docstring:
        return field.docstring.value
    texts = doc(owner).texts | (doc(field.parent).texts if field.parent else {})
    kind = getattr(field, "annotation", None)
    if name in texts or not isinstance(kind, griffe.ExprName) or kind.name != name.capitalize():
        return texts.get(name, "")
    return summary(field.package[kind.canonical_path.removeprefix(f"{field.package.name}.")])


def parameters(function: griffe.Object) -> list[griffe.Parameter]:
    """Those that a caller gives."""
    own = function.parameters if isinstance(function, griffe.Function) else ()
    return [parameter for parameter in own if parameter.name not in ("self", "cls")]


def everything() -> Iterator[tuple[str, griffe.Object]]:
    """All that is public but fields, by its full public name."""
    for name in MODULES:
        for key, thing in public(name).items():
            yield f"{name}.{key}", thing
            if thing.is_class:
                for inner, member in members(thing).items():
                    if not (isinstance(member, griffe.Attribute) and is_field(member)):
                        yield f"{name}.{key}.{inner}", member
