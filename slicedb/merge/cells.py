"""Bring two tables of the same rows together, cell by cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import DatabaseError
from slicedb.merge.pair import Side
from slicedb.metrics.outcomes import Bools
from slicedb.store.without_pandas import arrow_array
from slicedb.tasks.arrays import differs, one_array

TAGS = "tags"
"""The column of which both sides' values are kept."""


@dataclass
class Merged:
    """What became of rows that both sides have."""

    table: pa.Table
    """The rows as they are from now on."""
    changed: Bools
    """bool (n,): which of them are other than ours were."""
    filled: Bools
    """bool (n,): which got a value that only the other side had."""
    differing: Bools
    """bool (n,): of which some value is another on each side."""
    columns: Counter[str] = field(default_factory=Counter)
    """In how many rows each column is another on each side."""


def merged(
    mine: pa.Table, yours: pa.Table, columns: Collection[str], side: Side | None, where: Bools
) -> Merged:
    """Merge the cells of some columns.

    A value that only one side has is kept; of two that differ, that of `side`; of tags, both.

    Args:
        mine: rows of ours.
        yours: the rows of the other, in the same order, in the types of ours.
        columns: those to merge.
        side: whose value holds where the two differ; None keeps ours, and counts.
        where: bool (n,): the rows of which anything is taken at all.
    """
    none = np.zeros(len(mine), bool)
    result = Merged(mine, none.copy(), none.copy(), none.copy())
    for name in columns:
        old, new = one_array(mine[name]), one_array(yours[name])
        if name == TAGS:
            tags = _both(old, new)
            grown = where & differs(old, tags)
            result.filled |= grown
            _set(result, name, tags, grown)
            continue
        has_new = np.asarray(new.is_valid()) & where
        fills = has_new & np.asarray(old.is_null())
        differing = has_new & np.asarray(old.is_valid()) & differs(old, new)
        result.filled |= fills
        result.differing |= differing
        if differing.any():
            result.columns[name] += int(differing.sum())
        _set(result, name, new, fills | differing if side == "theirs" else fills)
    return result


def _both(old: pa.Array, new: pa.Array) -> pa.Array:
    """Return the tags of both sides, each once, ours first."""
    rows = zip(old.to_pylist(), new.to_pylist())
    lists = [a if not b else list(dict.fromkeys([*(a or []), *b])) for a, b in rows]
    return pa.array(lists, old.type)


def _set(result: Merged, name: str, values: pa.Array, where: Bools) -> None:
    if where.any():
        result.table = with_values(result.table, name, values, where)
        result.changed |= where


def with_values(table: pa.Table, name: str, values: pa.Array, where: Bools) -> pa.Table:
    """Return a table of which one column has other values in some rows."""
    n = len(table)
    both = pa.concat_arrays([one_array(table[name]), values])
    column = both.take(arrow_array(np.arange(n) + n * where))
    return table.set_column(table.column_names.index(name), table.schema.field(name), column)


def fitted(rows: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """Return rows of the other in the types that their columns have here.

    Args:
        rows: with columns that are in the schema.
        schema: of the table here.
        what: the table, for an error.

    Raises:
        DatabaseError: a column has another type here, and its values are not the same in it.
    """
    for at, name in enumerate(rows.column_names):
        field, kind = schema.field(name), rows.schema.field(name).type
        if kind == field.type:
            continue
        try:
            column = rows[name].cast(field.type) if _may_become(kind, field.type) else None
        except pa.ArrowException:
            column = None
        if column is None:
            raise DatabaseError(
                f"The column '{name}' of {what} is {field.type} here and {kind} in the other "
                "database.",
                "bring one of them to the type of the other; nothing was written.",
            )
        rows = rows.set_column(at, field, column)
    return rows


def _may_become(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether values may be read as another type: text never is a number."""
    numbers = (pa.types.is_integer, pa.types.is_floating)
    both_numbers = all(any(test(k) for test in numbers) for k in (kind, wanted))
    return both_numbers or pa.types.is_null(kind) or (kind.id == wanted.id) or _texts(kind, wanted)


def _texts(kind: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return all(pa.types.is_string(k) or pa.types.is_large_string(k) for k in (kind, wanted))


def with_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of a schema, null where the rows lack one."""
    for column in schema:
        if column.name not in rows.column_names:
            rows = rows.append_column(column, pa.nulls(len(rows), column.type))
    return rows.select(schema.names)


def of_rows(table: pa.Table, where: Bools) -> pa.Table:
    """Return the rows where a mask is true."""
    return table if where.all() else table.filter(pa.array(where))


def any_value(table: pa.Table, columns: Collection[str]) -> Bools:
    """Return bool (n,): which rows have a value in some of the columns."""
    has = np.zeros(len(table), bool)
    for name in columns:
        has |= np.asarray(pc.is_valid(one_array(table[name])))
    return has
