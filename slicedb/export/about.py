"""What people said of samples, for formats that have room for it or get a file beside them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from slicedb.export.tables import Row
from slicedb.schema import PLUMBING, SAMPLES_SCHEMA

_SAID = ("label", "labels", "caption", "tags", "captured_at")
"""Columns of `samples` that say something of a picture besides its boxes and its split."""
_STATED = ("stated_width", "stated_height", "exif_orientation")
"""Columns that an ingest adds, which a format's reader works out again."""


def said(schema: pa.Schema, *without: str) -> list[str]:
    """Return the columns that people brought, but for some that a format has a place for."""
    ours = {*SAMPLES_SCHEMA.names, *PLUMBING, *_STATED}
    return [
        name for name in schema.names if (name in _SAID or name not in ours) and name not in without
    ]


def about(table: pa.Table, columns: Sequence[str]) -> list[Row]:
    """Return what is said of each row, as JSON has it; what is NULL is left out."""
    rows = table.select(list(columns)).to_pylist()
    return [{k: _json(v) for k, v in row.items() if v is not None} for row in rows]


def _json(value: object) -> object:
    """Return a value as JSON has it."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal | dt.timedelta | bytes):
        return str(value)
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if isinstance(value, dict):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    return value


def as_text(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    """Return a note on the columns whose values JSON has no type for, and that come back as text.

    `captured_at` is read as a time again.
    """
    types = pa.types
    kinds = (types.is_temporal, types.is_decimal, types.is_binary)
    columns = [name for name in columns if name != "captured_at"]
    odd = [n for n in columns if any(is_it(schema.field(n).type) for is_it in kinds)]
    if not odd:
        return []
    return [f"Written as text, which JSON has no type for: {', '.join(odd)}."]


class Sidecar:
    """`metadata.jsonl` beside annotations: a line per picture, which `slicedb ingest` reads.

    It is made when there is something to say.

    Args:
        folder: where it is written; names of pictures are relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metadata.jsonl"
        self._lines: list[str] = []
        self._n = 0

    def __enter__(self) -> Sidecar:
        return self

    def add(self, names: Sequence[str], rows: Sequence[Row]) -> None:
        """Add pictures, each with what is said of it."""
        for name, row in zip(names, rows, strict=True):
            text = json.dumps({"file_name": name, **row}, ensure_ascii=False)
            self._lines.append(f"{text}\n")
            self._n += bool(row)
        if self._n and len(self._lines) > 4096:
            self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(self._lines)
        self._lines = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._n and self._lines:
            self._write()
