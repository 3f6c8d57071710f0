"""Convert the values of a column to the plain type they are stored in."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError


@dataclass(frozen=True)
class Column:
    """One metadata column on its way into `samples`."""

    source: str
    """Its name in the source."""
    name: str
    """Its name in `samples`."""
    type: pa.DataType
    """Its plain type."""
    names: tuple[str, ...] | None = None
    """Class names, where the source stores their numbers."""

    def convert(self, array: pa.Array) -> pa.Array:
        """Return the array in the column's type.

        Raises:
            IngestError: a value does not fit.
        """
        try:
            return _convert(array, self)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
            raise disagreement(self.source, array.type, self.type, str(error)) from error


def plain(kind: pa.DataType) -> pa.DataType:
    """Return the plain type that values of a type are kept in.

    >>> plain(pa.int8()), plain(pa.float32()), plain(pa.date32())
    (DataType(int64), DataType(double), TimestampType(timestamp[us]))
    """
    types = pa.types
    for is_it, result in (
        (types.is_null, pa.null()),
        (types.is_boolean, pa.bool_()),
        (types.is_integer, pa.int64()),
        (types.is_floating, pa.float64()),
        (types.is_decimal, pa.float64()),
        (types.is_date, pa.timestamp("us")),
        (types.is_timestamp, pa.timestamp("us")),
        (types.is_duration, pa.int64()),
    ):
        if is_it(kind):
            return result
    if types.is_dictionary(kind):
        return plain(kind.value_type)
    if types.is_map(kind):
        pair = [pa.field("key", plain(kind.key_type)), pa.field("value", plain(kind.item_type))]
        return pa.list_(pa.struct(pair))
    if types.is_struct(kind):
        return pa.struct([pa.field(f.name, _inner(f.type)) for f in kind])
    if types.is_nested(kind) and hasattr(kind, "value_type"):
        return pa.list_(_inner(kind.value_type))
    return pa.string()


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
    if column.names is not None and pa.types.is_integer(array.type):
        return _named(array, column.names)
    if pa.types.is_duration(array.type):
        return array.cast(pa.duration("us")).cast(pa.int64())
    if pa.types.is_timestamp(array.type) and array.type.tz and column.type != pa.string():
        array = array.cast(pa.timestamp("us", "UTC"), safe=False)
        return array.cast(pa.timestamp("us"))
    if is_text(array.type) and pa.types.is_list(column.type):
        return pa.array([_listed(text) for text in array.to_pylist()], column.type)
    if pa.types.is_map(array.type):
        pairs = [
            None if m is None else [{"key": k, "value": v} for k, v in m] for m in array.to_pylist()
        ]
        return pa.array(pairs, column.type)
    try:
        safe = not (pa.types.is_timestamp(column.type) or pa.types.is_floating(column.type))
        return array.cast(column.type, safe=safe)
    except pa.ArrowNotImplementedError:
        return pa.array(array.to_pylist(), column.type)


def _named(array: pa.Array, names: tuple[str, ...]) -> pa.Array:
    """Return class names for their numbers; numbers without a name become null."""
    valid = pc.and_(pc.greater_equal(array, 0), pc.less(array, len(names)))
    return pa.array(names, pa.string()).take(pc.if_else(valid, array, None))


def _listed(text: str | None) -> list[object] | None:
    """Read a list written as text: JSON, or words with `;`, `|` or `,` between."""
    if text is None or not text.strip():
        return None
    if text.lstrip().startswith("["):
        value = json.loads(text)
        return [_attributes(v) if isinstance(v, dict) else v for v in value]
    mark = next((m for m in ";|," if m in text), ";")
    return [word.strip() for word in text.split(mark) if word.strip()]


def _attributes(value: dict[str, object]) -> dict[str, object]:
    extra = value.get("attributes")
    return {**value, "attributes": json.dumps(extra)} if isinstance(extra, dict) else value
