"""The table `runs`, and its one reader and writer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from slicedb import schema
from slicedb.store import Store


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row: what was judged, on what, and what came out."""

    id: str
    kind: Literal["test", "evaluate", "look"]
    what: str
    """The models under test."""
    ran_at: datetime
    """UTC, without a zone."""
    tables: Mapping[str, int]
    """Version of each table."""
    fingerprints: Mapping[str, str]
    """Fingerprint of every model that took part, "" where it is not known."""
    queries: Mapping[str, str]
    """Query text of each slice."""
    software: str
    """Versions of packages, as JSON."""
    summary: Mapping[str, object]
    """What came out, and the looks at held-out slices."""


def append(store: Store, run: Run) -> None:
    """Add a row."""
    texts = ("tables", "fingerprints", "queries", "summary")
    row = {**vars(run), **{name: json.dumps(getattr(run, name)) for name in texts}}
    store.create(schema.RUNS, schema.RUNS_SCHEMA)
    store.append(schema.RUNS, pa.Table.from_pylist([row], schema=schema.RUNS_SCHEMA))
    store.sync()


def read(store: Store, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
    """Return rows as they are stored; none where nothing was written down yet.

    Args:
        columns: their names; None is all.
        where: a filter as Lance takes it.
    """
    if not store.has(schema.RUNS):
        empty = schema.RUNS_SCHEMA.empty_table()
        return empty if columns is None else empty.select(list(columns))
    return store.table(schema.RUNS, columns, where=where)
