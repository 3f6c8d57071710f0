"""Turn Arrow columns into one array or into matrices, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.metrics.outcomes import Bools, Ints

ArrowColumn: TypeAlias = "pa.Array | pa.ChunkedArray"


def one_array(column: ArrowColumn) -> pa.Array:
    """Return a column as one array."""
    if isinstance(column, pa.Array):
        return column
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):  # what pyarrow makes of no chunks at all
        return pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], joined.type)
    return joined


def matrix_of(column: ArrowColumn) -> npt.NDArray[np.floating]:
    """Return a fixed-size list column float32 or float64 (n, c), NaN where null."""
    array = one_array(column)
    width = array.type.list_size
    values = array.values.slice(array.offset * width, len(array) * width)
    matrix: npt.NDArray[np.floating] = values.to_numpy(zero_copy_only=False)
    matrix = matrix.reshape(len(array), width)
    if array.null_count:
        matrix = matrix.copy()
        matrix[~array.is_valid().to_numpy(zero_copy_only=False)] = np.nan
    return matrix


def matrix_at(column: pa.ChunkedArray, rows: Ints) -> npt.NDArray[np.float32]:
    """Return some rows of a fixed-size list column without nulls as float32 (n, c).

    The column is copied once, a chunk at a time.

    Args:
        column: of m rows.
        rows: int64 (n,), none of them twice.
    """
    places = np.full(len(column), -1)
    places[rows] = np.arange(len(rows))
    matrix = np.empty((len(rows), column.type.list_size), np.float32)
    start = 0
    for chunk in column.chunks:
        at = places[start : start + len(chunk)]
        start += len(chunk)
        is_wanted = at >= 0
        whole = matrix_of(chunk)
        matrix[at[is_wanted]] = whole if is_wanted.all() else whole[is_wanted]
    return matrix


def list_column(matrix: npt.NDArray[np.floating], null: Bools | None = None) -> pa.Array:
    """Return a matrix (n, c) as a column of c numbers a row, null where `null` (n,) is."""
    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    mask = pa.array(null) if null is not None and null.any() else None
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1], mask=mask)


def with_numbers(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    """Return a table whose column of fixed-size lists of that name has numbers of a type."""
    column = one_array(table[name])
    if column.type.value_type == kind:
        return table
    matrix = matrix_of(column).astype(kind.to_pandas_dtype())
    lists = list_column(matrix, np.asarray(column.is_null()))
    return table.set_column(table.column_names.index(name), name, lists)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of tables whose columns may differ in type; the wider one is taken."""
    kinds = [
        table.schema.field("probabilities").type.value_type
        for table in tables
        if "probabilities" in table.column_names
    ]
    if len(set(kinds)) > 1:
        tables = [with_numbers(table, "probabilities", pa.float64()) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive")


def in_class_order(names: Iterable[str]) -> list[str]:
    """Return class names in their order: numbers by their value, other names as text.

    Folders 0 to 11 are classes 0 to 11 of a network; as text, 10 and 11 would come before 2.

    >>> in_class_order(["10", "9", "1"]), in_class_order(["b", "10", "9"])
    (['1', '9', '10'], ['10', '9', 'b'])
    """
    every = sorted(names)
    numbers = [_number(name) for name in every]
    if any(number is None for number in numbers):
        return every
    return [name for _, name in sorted(zip(numbers, every, strict=True))]


def _number(name: str) -> float | None:
    try:
        number = float(name)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def codes_of(column: ArrowColumn) -> tuple[tuple[str, ...], Ints]:
    """Return the distinct strings of a column in class order, and int64 codes, -1 for null."""
    array = one_array(column)
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    code = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    ordered = in_class_order(names)
    place = {name: i for i, name in enumerate(ordered)}
    rank = np.array([place[name] for name in names], np.int64)
    return tuple(ordered), np.append(rank, -1)[code]


def recoded(names: Sequence[str], classes: Sequence[str]) -> Ints:
    """Return int64: the place of each name among the classes, -1 where it has none."""
    at = {name: i for i, name in enumerate(classes)}
    return np.array([at.get(name, -1) for name in names], np.int64)


def differs(old: ArrowColumn, new: ArrowColumn) -> Bools:
    """Return bool (n,): where two columns differ, null being a value of its own, and NaN another.

    Lists and structs are compared by what they hold. Where the types differ, and the old values
    cannot be read as the new type, every row that has a value differs.
    """
    a, b = _plain(one_array(old)), _plain(one_array(new))
    if a.type != b.type:
        try:
            a = a.cast(b.type)
        except pa.ArrowException:
            return np.asarray(pc.or_(pc.is_valid(a), pc.is_valid(b)))
    return _differ(a, b)


def _plain(array: pa.Array) -> pa.Array:
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _differ(a: pa.Array, b: pa.Array) -> Bools:
    """Return where two arrays of one type and length differ."""
    here: Bools = np.asarray(a.is_valid()) & np.asarray(b.is_valid())
    differ: Bools = np.asarray(a.is_valid()) != np.asarray(b.is_valid())
    if pa.types.is_struct(a.type):
        for x, y in zip(a.flatten(), b.flatten(), strict=True):
            differ |= here & _differ(x, y)
    elif _holds_lists(a.type):
        differ |= here & _lists_differ(a, b, here)
    elif not pa.types.is_null(a.type):
        unequal = pc.fill_null(pc.not_equal(a, b), False)
        if pa.types.is_floating(a.type):
            both_nan = pc.fill_null(pc.and_(pc.is_nan(a), pc.is_nan(b)), False)
            unequal = pc.and_not(unequal, both_nan)
        differ |= np.asarray(unequal)
    return differ


def _holds_lists(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _lists_differ(a: pa.Array, b: pa.Array, here: Bools) -> Bools:
    """Return where lists differ, looking at rows that are valid on both sides."""
    sizes = [np.asarray(pc.fill_null(pc.list_value_length(x), 0)) for x in (a, b)]
    differ = sizes[0] != sizes[1]
    rows = np.flatnonzero(here & ~differ)
    inside = [pc.list_flatten(x.take(pa.array(rows))) for x in (a, b)]
    unequal = _differ(_plain(inside[0]), _plain(inside[1]))
    owner = np.repeat(rows, sizes[0][rows])
    differ[owner[unequal]] = True
    return np.asarray(differ)


def null_in(*columns: ArrowColumn) -> Bools:
    """Return bool (n,): where some of the columns is null."""
    return np.asarray(np.any([np.asarray(pc.is_null(column)) for column in columns], axis=0))
