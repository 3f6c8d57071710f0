"""Columns of what JSON files say of each picture besides its boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from slicedb.ingest import columns as cols
from slicedb.ingest.convert import Column
from slicedb.ingest.source import Options, Row


def metadata_of(
    rows: Sequence[Row], own: Iterable[str], options: Options, notes: list[str]
) -> pa.Table:
    """Return the columns that objects of a file have, in plain types, one row each.

    Args:
        rows: one object per picture.
        own: keys that are no metadata.
        options: of the ingest.
        notes: what the user should know; what was renamed or left out is added.

    Raises:
        IngestError: a column does not fit the one of that name in `samples`.
    """
    raw, nested = raw_columns(rows, own)
    notes += left_out(nested)
    columns = columns_in(raw.schema, options, notes)
    return pa.table({c.name: c.convert(raw[c.source].combine_chunks()) for c in columns})


def raw_columns(rows: Sequence[Row], own: Iterable[str]) -> tuple[pa.Table, list[str]]:
    """Return what objects have, a column each, and the keys whose values are no column."""
    without = set(own)
    names = dict.fromkeys(k for row in rows for k, v in row.items() if k not in without and v != "")
    fields: dict[str, pa.Array] = {}
    nested = []
    for name in names:
        values = [row.get(name) for row in rows]
        if all(_is_plain(value) for value in values):
            fields["image_id" if name == "id" else name] = _column(values)
        else:
            nested.append(name)
    return pa.table(fields), nested


def left_out(nested: Sequence[str]) -> list[str]:
    """Return a note on keys whose values are no column."""
    if not nested:
        return []
    names = ", ".join(map(repr, nested))
    return [
        f"What the pictures have of {names} was left out: it is neither a value nor a list of "
        "texts."
    ]


def columns_in(schema: pa.Schema, options: Options, notes: list[str]) -> list[Column]:
    """Return the columns of `samples` that raw columns become.

    Raises:
        IngestError: one does not fit the column of that name in `samples`.
    """
    roles = {name: name for name in ("label", "caption") if name in schema.names}
    columns, told = cols.plan(schema, roles, options)
    notes += told
    given = {name for name in ("label", "split") if getattr(options, name) is not None}
    return [c for c in columns if c.name not in {"objects", *given}]


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return value is None or isinstance(value, str | int | float | bool)


def _column(values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    if any(isinstance(value, list) for value in values):  # one text stands for a list of one
        lists = [v if v is None or isinstance(v, list) else [str(v)] for v in values]
        return pa.array(lists, pa.list_(pa.string()))
    return pa.array([None if v is None else str(v) for v in values], pa.string())
