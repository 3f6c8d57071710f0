"""Convert the values of a column to the plain type they are stored in."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from slicedb.errors import IngestError
from slicedb.ingest.objects import BOXES, boxes_of, check_boxes


@dataclass(frozen=True)
class Column:
    """One metadata column on its way into `samples`."""

    source: str
    """Its name in the source."""
    name: str
    """Its name in `samples`."""
    type: pa.DataType
    """Its plain type."""

    def convert(self, array: pa.Array) -> pa.Array:
        """Return the array in the column's type.

        Raises:
            IngestError: a value does not fit.
        """
        try:
            return _convert(array, self)
        except ValueError as error:
            if self.type != BOXES or isinstance(error, pa.ArrowInvalid):
                raise disagreement(self.source, array.type, self.type, str(error)) from error
            raise IngestError(
                f"Column '{self.source}' does not hold boxes: {error}.",
                "a box is {label, bbox: [x, y, width, height]} in pixels; nothing of this batch "
                "was written.",
            ) from error
        except (pa.ArrowNotImplementedError, TypeError) as error:
            raise disagreement(self.source, array.type, self.type, str(error)) from error


def plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that values of a type are stored in: one that DuckDB reads, and no loss.

    >>> plain(pa.int8()), plain(pa.float32()), plain(pa.date64())
    (DataType(int64), DataType(double), DataType(date32[day]))
    >>> plain(pa.decimal128(9, 2)), plain(pa.timestamp("ns")), plain(pa.uint64())
    (Decimal128Type(decimal128(9, 2)), TimestampType(timestamp[ns]), DataType(uint64))
    """
    types = pa.types
    for is_it, result in (
        (types.is_null, pa.null()),
        (types.is_boolean, pa.bool_()),
        (types.is_uint64, pa.uint64()),
        (types.is_integer, pa.int64()),
        (types.is_floating, pa.float64()),
        (types.is_date, pa.date32()),
    ):
        if is_it(kind):
            return result
    if types.is_decimal(kind):
        fits = kind.precision <= _DIGITS and kind.scale >= 0
        return pa.decimal128(kind.precision, kind.scale) if fits else pa.string()
    if types.is_timestamp(kind):
        # DuckDB has no nanoseconds with a zone.
        return pa.timestamp("ns" if kind.unit == "ns" and not kind.tz else "us", kind.tz)
    if types.is_time(kind):
        return pa.time64("ns" if kind.unit == "ns" else "us")
    if types.is_duration(kind):
        return pa.duration("us")
    if types.is_dictionary(kind):
        return plain(kind.value_type)
    if types.is_map(kind):
        return pa.map_(_inner(kind.key_type), _inner(kind.item_type))
    if types.is_struct(kind):
        return pa.struct([pa.field(f.name, _inner(f.type)) for f in kind])
    if types.is_nested(kind) and hasattr(kind, "value_type"):
        return pa.list_(_inner(kind.value_type))
    return pa.string()


_DIGITS = 38
"""Digits of DuckDB's largest DECIMAL; one with more is kept as text."""


def loss(kind: pa.DataType) -> str:
    """Return what values of a type lose when they are stored; "" where nothing.

    >>> loss(pa.timestamp("ns", "UTC"))
    'digits below the microsecond, which DuckDB does not keep with a zone'
    """
    if pa.types.is_timestamp(kind) and kind.unit == "ns" and kind.tz:
        return "digits below the microsecond, which DuckDB does not keep with a zone"
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return "digits below the microsecond, which an INTERVAL of DuckDB does not have"
    if pa.types.is_decimal(kind) and plain(kind) == pa.string():
        return "its type and becomes text, since a DECIMAL of DuckDB has at most 38 digits"
    children = [kind.field(n).type for n in range(kind.num_fields)]
    return next(filter(None, map(loss, children)), "")


def earlier(kind: pa.DataType) -> pa.DataType | None:
    """Return the other type that the first releases stored values of a type in, or None.

    A database that has such a column keeps it, so that a source can be ingested again.
    """
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_duration(kind) or pa.types.is_uint64(kind):
        return pa.int64()
    if pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_map(kind):
        pair = [("key", plain(kind.key_type)), ("value", plain(kind.item_type))]
        return pa.list_(pa.struct(pair))
    return None


def _inner(kind: pa.DataType) -> pa.DataType:
    """Return the plain type inside a list or a struct, where nothing may stay without a type."""
    result = plain(kind)
    return pa.string() if pa.types.is_null(result) else result


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is text, or a dictionary of texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def disagreement(
    column: str, kind: pa.DataType, present: pa.DataType, why: str = ""
) -> IngestError:
    """Return the error for a column of another type than `samples` has."""
    reason = f": {why.splitlines()[0]}" if why else "."
    return IngestError(
        f"Column '{column}' is {kind} in the source but {present} in samples{reason}",
        "change its type or rename it in the source; nothing of this batch was written.",
    )


def _convert(array: pa.Array, column: Column) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_duration(array.type):
        return array.cast(pa.duration("us"), safe=False).cast(column.type)
    if pa.types.is_timestamp(array.type) and array.type.tz and column.type == pa.timestamp("us"):
        array = array.cast(pa.timestamp("us", "UTC"), safe=False)
        return array.cast(pa.timestamp("us"))
    if pa.types.is_decimal(array.type) and pa.types.is_string(column.type):
        return pa.array([None if v is None else str(v) for v in array.to_pylist()], column.type)
    if array.type == BOXES == column.type:
        check_boxes(array)
        return array
    if column.type == BOXES:
        rows = array.to_pylist()
        return boxes_of([_json(row) if isinstance(row, str) else row for row in rows])
    if is_text(array.type) and pa.types.is_list(column.type):
        return pa.array([_listed(text) for text in array.to_pylist()], column.type)
    if pa.types.is_map(array.type) and not pa.types.is_map(column.type):
        pairs = [
            None if m is None else [{"key": k, "value": v} for k, v in m] for m in array.to_pylist()
        ]
        return pa.array(pairs, column.type)
    try:
        safe = not (pa.types.is_timestamp(column.type) or pa.types.is_floating(column.type))
        return array.cast(column.type, safe=safe)
    except pa.ArrowNotImplementedError:
        return pa.array(array.to_pylist(), column.type)


def _json(text: str) -> object:
    return json.loads(text) if text.strip() else None


def _listed(text: str | None) -> list[object] | None:
    """Read a list written as text: JSON, or words with `;`, `|` or `,` between."""
    if text is None or not text.strip():
        return None
    if text.lstrip().startswith("["):
        value: list[object] = json.loads(text)
        return value
    mark = next((m for m in ";|," if m in text), ";")
    return [word.strip() for word in text.split(mark) if word.strip()]
