"""What a dataset says of a picture becomes its label and its caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from rival_jax.errors import InputError
from rival_jax.jobs.job import Job
from rival_jax.jobs.rows import readable

Columns = Mapping[str, Any]
"""What is said of one picture, by column, key or member."""


def labelled(job: Job) -> Callable[[str, Columns], tuple[str | None, str | None]]:
    """A function of a sample's id and columns that gives its label and caption.

    The label is None where it is missing or empty; the caption is None where a captioner is to say it. The function
    raises InputError where the job's caption needs what the sample has not.
    """
    name, template, column = job.input.label, job.caption.template, job.caption.column
    needs_label = any(field for _, field, *_ in Formatter().parse(template or ""))

    def read(sample: str, columns: Columns) -> tuple[str | None, str | None]:
        label = _text(sample, name, columns.get(name)) or None
        if column is not None:
            caption = _text(sample, column, columns.get(column))
            if caption is None:
                raise InputError(
                    f"Sample {readable(sample)} has no caption {column!r}; "
                    f"give one of its columns as caption.column ({names(columns)})."
                )
            return label, caption
        if needs_label and label is None:
            raise InputError(
                f"Sample {readable(sample)} has no label {name!r} (its columns: {names(columns)}) for its caption; "
                "give another input.label, a caption.template without {label}, caption.column or caption.captioner."
            )
        return label, None if template is None else template.format(label=label)

    return read


def names(columns: Columns) -> str:
    """The columns that there are, as words."""
    return ", ".join(readable(str(name)) for name in columns) or "none"


def _text(sample: str, column: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value if value is None else readable(value)
    if isinstance(value, int | float):
        return str(value)
    raise InputError(
        f"Sample {readable(sample)} has a {type(value).__name__} as {column!r}; "
        "give a column of text or numbers as input.label or caption.column."
    )
