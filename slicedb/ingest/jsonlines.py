"""Read tables of JSON lines: one object a line.

pyarrow has a reader of its own, which misplaces the nulls that stand first in a list of texts
(26.0: `[null, "x"]` comes back as `["x", null]`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from slicedb.errors import SourceError
from slicedb.ingest.objects import boxes_of
from slicedb.ingest.source import ROWS, Row
from slicedb.sources import Location


def table_of_lines(file: Location) -> pa.Table:
    """Return a file of JSON lines as a table; texts that are all times become times.

    Raises:
        SourceError: it cannot be read, a line is no object, or a column has several types.
    """
    tables: list[pa.Table] = []
    rows: list[Row] = []
    with file.open() as opened:
        for number, line in enumerate(opened, 1):
            if not line.strip():
                continue
            rows.append(_row(file, number, line))
            if len(rows) == ROWS:
                tables.append(_table(file, rows))
                rows = []
    if rows or not tables:
        tables.append(_table(file, rows))
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise _odd(file, error) from error
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and table[at].null_count < len(table):
            table = _with_times(table, at)
    return table


def _row(file: Location, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise SourceError(
            f"Cannot read '{file}', line {number:,}: {error}.",
            "correct the line; nothing was written.",
        ) from error
    if not isinstance(row, dict):
        raise SourceError(
            f"'{file}', line {number:,} is no object.", "each line is {...}; nothing was written."
        )
    return row


def _table(file: Location, rows: Sequence[Row]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = _boxes(values) if name == "objects" else pa.array(values)
        except (pa.ArrowException, OverflowError) as error:
            raise _odd(file, error, name) from error
    return pa.table(columns)


def _boxes(values: list[object]) -> pa.Array:
    """Return boxes, whose outlines may be lists in one and a mask in another; else what it is."""
    try:
        return boxes_of(values)
    except (ValueError, TypeError):
        return pa.array(values)


def _odd(file: Location, error: Exception, name: str = "") -> SourceError:
    which = f"Column '{name}' of '{file}'" if name else f"A column of '{file}'"
    return SourceError(
        f"{which} holds values of several types: {str(error).splitlines()[0]}",
        "write one type in each column.",
    )


def _with_times(table: pa.Table, at: int) -> pa.Table:
    try:
        times = table[at].cast(pa.timestamp("s"))
    except pa.ArrowException:
        return table
    return table.set_column(at, table.column_names[at], times)
