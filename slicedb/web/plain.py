"""Values as JSON has them: no NaN, no keys, no objects of ours."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb.errors import QueryError, SliceDBError, place_after
from slicedb.show import numbers

Body: TypeAlias = dict[str, Any]
"""The JSON object of a request, or a row."""


_MOST_EXACT = 2**53
"""Up to which every whole number is one of JavaScript's."""


def plain(value: object) -> Any:
    """Return a value as JSON can hold it.

    NaN and infinities become null, times ISO 8601, bytes their number, frozen dataclasses objects,
    and whole numbers that JavaScript would round become text.

    >>> plain({"a": float("nan"), "b": (1, 2), "c": 2**62})
    {'a': None, 'b': [1, 2], 'c': '4611686018427387904'}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= _MOST_EXACT else str(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, pa.Table):
        return [plain(row) for row in value.to_pylist()]
    if isinstance(value, pa.Scalar):
        return plain(value.as_py())
    if isinstance(value, (bytes, bytearray, memoryview)):
        return numbers.count(len(value), "byte")
    if isinstance(value, (datetime.timedelta, decimal.Decimal)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    return str(value)


def dumped(value: object) -> str:
    """Return a value as JSON text."""
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":"))


def error_of(error: SliceDBError) -> dict[str, object]:
    """Return what the page says of an error: message, hint, kind, and where in a query it is."""
    where: dict[str, object] | None = None
    if isinstance(error, QueryError) and error.start is not None and error.end is not None:
        line, column = place_after(error.asked[: error.start])
        token = error.asked[error.start : error.end]
        where = {"line": line, "column": column, "token": token}
        where |= {"start": error.start, "end": error.end}
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "where": where,
    }
