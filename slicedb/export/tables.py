"""Write metadata as CSV or Parquet; Parquet carries the encoded images too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb.ingest.format import Written
from slicedb.schema import LOOKS, SAMPLES
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.store import Store

Row: TypeAlias = dict[str, Any]
"""One sample, or one object of a JSON file."""

_CHUNK = 1024
_INNER = frozenset({"key", "ingested_at", "mtime", *(field.name for field in LOOKS)})


def metadata(store: Store, keys: np.ndarray) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """Yield (keys, rows of `samples`) in chunks, without inner columns."""
    columns = [name for name in store.schema(SAMPLES).names if name not in _INNER]
    for start in range(0, max(len(keys), 1), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        yield chunk, store.take(SAMPLES, chunk, columns)


def write_csv(store: Store, keys: np.ndarray, path: Path) -> Written:
    """Write one row per sample; lists and structs become JSON."""
    from pyarrow import csv

    writer = None
    with path.open("wb") as file:
        for _, table in metadata(store, keys):
            flat = flatten(table)
            writer = writer or csv.CSVWriter(file, flat.schema)
            writer.write(flat)
        if writer is not None:
            writer.close()
    count = numbers.count(len(keys), "sample")
    note = f"The pictures are not in a CSV: `uri` says where those of {count} lie."
    return Written(len(keys), (note,) if len(keys) else ())


def write_parquet(store: Store, keys: np.ndarray, path: Path) -> int:
    """Write one row per sample with an `image` column of encoded bytes."""
    import pyarrow.parquet as pq

    writer = None
    for chunk, table in metadata(store, keys):
        images = [data for _, data in store.read_images(chunk)]
        full = table.append_column("image", pa.array(images, pa.binary()))
        writer = writer or pq.ParquetWriter(path, full.schema)
        writer.write_table(full)
    if writer is not None:
        writer.close()
    return len(keys)


def flatten(table: pa.Table) -> pa.Table:
    """Replace nested columns by JSON text."""
    for i, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            values = [_to_json(value) for value in table[field.name].to_pylist()]
            table = table.set_column(i, field.name, pa.array(values, pa.string()))
    return table


def _to_json(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str, ensure_ascii=False)
