"""Values from JSON and TOML files, held against the annotated dataclass that takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rival_jax.errors import InputError

_WORDS = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text", Path: "a path as text"}


def typed(owner: str, values: Mapping[str, Any], schema: type) -> dict[str, Any]:
    """`values` in the types of the dataclass `schema`: lists become tuples, one value a tuple of one, text a path.

    Raises InputError that names `owner`, the field, its value and what is accepted. Every name must be a field.
    """
    hints, result = get_type_hints(schema), {}
    for name, value in values.items():
        try:
            result[name] = _fit(value, hints[name])
        except TypeError as error:
            raise InputError(f"{owner} {name} = {value!r} is not supported; accepted: {error}.") from error
    return result


def _fit(value: Any, hint: Any) -> Any:
    """A value in the type of `hint`. Raises TypeError that says what is accepted."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is tuple:
        return tuple(_fit(item, inner[0]) for item in (value if isinstance(value, list | tuple) else [value]))
    if kind in (Union, UnionType):  # X | None
        return None if value is None else _fit(value, inner[0])
    if kind is Literal:
        if value not in inner:
            raise TypeError(", ".join(map(repr, inner)))
        return value
    accepted = {float: (float, int), Path: (str,)}.get(hint, (hint,))
    if type(value) not in accepted or (type(value) is float and not math.isfinite(value)):
        raise TypeError(_WORDS[hint])
    return Path(str(value)) if hint is Path else value
