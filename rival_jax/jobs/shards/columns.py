"""The columns of rows and their types, which hold even where all values are null."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

from rival_jax.jobs.rows import Row

_TYPES = {bool: "bool", int: "int64", float: "float64"}


def _type(annotation: Any) -> str:
    """The name that arrow and `datasets` both have for a field's type."""
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    return _TYPES.get(kinds[0], "string")


COLUMNS = {name: _type(annotation) for name, annotation in get_type_hints(Row).items()}
"""Each column's name and type: "string", "int64", "float64" or "bool"."""
