"""A shard as a parquet file: the bytes of its pictures beside their rows (extra `parquet`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rival_jax.jobs import durable
from rival_jax.jobs.rows import Row
from rival_jax.jobs.shards.columns import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP = 100
"""Rows of a group, which readers fetch at once: what the hub has for pictures."""


def write(path: Path, pictures: Sequence[tuple[Row, str, bytes]]) -> None:
    """Writes rows with their pictures' names and bytes, in the column `image` as `datasets` decodes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with durable.written(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, len(pictures), _GROUP):
            group = [
                {"image": {"bytes": data, "path": name}} | asdict(row)
                for row, name, data in pictures[start : start + _GROUP]
            ]
            writer.write_table(pa.Table.from_pylist(group, schema))


def read(path: Path) -> dict[str, bytes]:
    """The pictures by their names. Raises OSError where the file cannot be read."""
    import pyarrow.parquet as pq

    images = (row["image"] for row in pq.read_table(path, columns=["image"]).to_pylist())
    return {image["path"]: image["bytes"] for image in images}


def _schema() -> pa.Schema:
    """Arrow's columns, with the note from which `datasets` knows that the first one holds pictures."""
    import pyarrow as pa

    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    features = {"image": {"_type": "Image"}} | {
        name: {"dtype": kind, "_type": "Value"} for name, kind in COLUMNS.items()
    }
    fields = [("image", image), *((name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items())]
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})
