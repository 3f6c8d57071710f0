"""Give columns of a result the zone and the kind of time that they are stored with.

DuckDB knows no zone of a column, and shows an instant in that of the session; and a duration is an
INTERVAL to it. A column that is taken by key never passes through DuckDB, and keeps both.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from slicedb.store.without_pandas import arrow_array

_INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
"""How Arrow lays out a month_day_nano_interval."""
_DAY = 86_400_000_000_000
"""Nanoseconds."""


def as_stored(table: pa.Table, stored: Mapping[str, pa.DataType]) -> pa.Table:
    """Return a result whose columns of time are of the type of the stored column of that name.

    Args:
        table: the result.
        stored: name of a column to its type; names that the result does not have do no harm.
    """
    for number, field in enumerate(table.schema):
        kind = stored.get(field.name)
        if kind is None or kind == field.type:
            continue
        column = None
        if pa.types.is_timestamp(kind) and kind.tz and pa.types.is_timestamp(field.type):
            column = table.column(number).cast(kind) if field.type.tz else None
        elif pa.types.is_duration(kind) and field.type == pa.month_day_nano_interval():
            column = _durations(table.column(number), kind)
        if column is not None:
            table = table.set_column(number, field.name, column)
    return table


def _durations(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """Return intervals as durations; None where one has months, which have no fixed length."""
    chunks = []
    for chunk in column.chunks:
        values = np.frombuffer(chunk.buffers()[1] or b"", _INTERVAL)
        values = values[chunk.offset : chunk.offset + len(chunk)]
        nulls = chunk.is_null().to_numpy(zero_copy_only=False)
        if values["months"][~nulls].any():
            return None
        nanoseconds = values["days"].astype(np.int64) * _DAY + values["nanoseconds"]
        chunks.append(arrow_array(nanoseconds, nulls).cast(pa.duration("ns")).cast(kind))
    return pa.chunked_array(chunks, kind)
