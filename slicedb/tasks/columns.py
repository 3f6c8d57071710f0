"""The columns that every table of predictions has besides those of its task."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from slicedb.schema import SAMPLES_SCHEMA, schema_of

FIRST = [SAMPLES_SCHEMA.field("id"), SAMPLES_SCHEMA.field("key")]
LAST = schema_of("content int64, fingerprint int64, error string")


def predictions_schema(own: Iterable[pa.Field], width: int | None = None) -> pa.Schema:
    """Return the schema of a table of predictions.

    `content` and `fingerprint` say which image and which model a row was computed with; `error`
    says why a row is empty.

    Args:
        own: the columns of the task.
        width: of `probabilities`; None leaves that column out.
    """
    fields = [*FIRST, *own, *LAST]
    if width is not None:
        fields.append(pa.field("probabilities", pa.list_(pa.float32(), width)))
    return pa.schema(fields)
