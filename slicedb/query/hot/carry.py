"""Take columns of a loaded table over to a later version, changed where its rows changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.keys import Keys, distinct
from slicedb.query.hot.sources import Source
from slicedb.sql import quoted
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.store import Store
    from slicedb.store.changes import Changes


@dataclass
class Carried:
    """What to take over."""

    rows: str
    """SQL of the table that the columns are taken from; it has `rowid`."""
    table: str
    """Name of the table in the store."""
    changes: Changes | None
    """How its rows changed; None is not at all."""
    version: int
    """The version that it becomes."""
    own: list[str] = field(default_factory=list)
    """Columns of the table itself."""
    beside: dict[str, tuple[str, Source, Changes | None]] = field(default_factory=dict)
    """Column of a model to the column that it is taken from, its source, and how that changed."""


def changed_columns(
    store: Store,
    wanted: Mapping[str, Source],
    loaded: Mapping[str, Source | None],
    most: Callable[[str], int],
) -> dict[str, tuple[str, Source, Changes | None]]:
    """Return which of the wanted columns of models can be taken from loaded ones.

    Args:
        store: the database.
        wanted: column to its source.
        loaded: the same of those that there are, of this and earlier versions.
        most: gives how many rows of a table may have changed.

    Returns:
        See `Carried.beside`.
    """
    known: dict[tuple[str, int, int], Changes | None] = {}
    carried: dict[str, tuple[str, Source, Changes | None]] = {}
    for name, source in wanted.items():
        like = {
            have.version: other
            for other, have in loaded.items()
            if have is not None and replace(have, version=source.version) == source
        }
        earlier = [version for version in like if version <= source.version]
        if not earlier:
            continue
        before = max(earlier)
        if before == source.version:
            carried[name] = like[before], source, None
            continue
        slot = (source.table, before, source.version)
        columns = sorted({s.column for s in wanted.values() if s.table == source.table})
        if slot not in known:
            known[slot] = store.changes(
                source.table, before, source.version, columns, most(source.table)
            )
        if (changes := known[slot]) is not None:
            carried[name] = like[before], source, changes
    return carried


def carry(
    store: Store,
    cursor: DuckDBPyConnection,
    target: str,
    carried: Carried,
    plain: Callable[[pa.Table, Source], pa.ChunkedArray | pa.Array],
) -> None:
    """Make a table of the columns of another one.

    Args:
        store: the database.
        cursor: of the connection that has both.
        target: SQL name of the table to make.
        carried: what of.
        plain: gives the values of a source as they are loaded.
    """
    shown = [f"o.{quoted(name)}" for name in carried.own]
    shown += [f"o.{quoted(old)} AS {quoted(new)}" for new, (old, _, _) in carried.beside.items()]
    text = f"CREATE TABLE {target} AS SELECT {', '.join(shown)} FROM {carried.rows} AS o"
    added = np.empty(0, np.int64)
    if carried.changes is not None and len(carried.changes.gone):
        cursor.register("~gone", pa.table({"row": arrow_array(carried.changes.gone)}))
        text += ' WHERE o.rowid NOT IN (SELECT row FROM "~gone")'
    cursor.execute(text)
    if carried.changes is not None and len(carried.changes.new_keys):
        added = carried.changes.new_keys
        rows = store.changed_rows(carried.table, carried.changes, carried.own, carried.version)
        names = {name: plain(rows, Source("", 0, name, 0)) for name in carried.own}
        cursor.register("~added", pa.table(names))
        cursor.execute(f'INSERT INTO {target} BY NAME SELECT * FROM "~added"')
    if carried.changes is not None and len(carried.changes.altered):
        values = [name for name in carried.own if name != "key"]
        own = {name: Source(carried.table, carried.version, name, 0) for name in values}
        _patch(store, cursor, target, carried.changes.altered, own, plain)
    for table, version in {(s.table, s.version) for _, s, _ in carried.beside.values()}:
        mine = {
            name: (source, changes)
            for name, (_, source, changes) in carried.beside.items()
            if (source.table, source.version) == (table, version)
        }
        changed = [changes.keys for _, changes in mine.values() if changes is not None]
        keys = distinct(np.concatenate([added, *changed]))
        if len(keys):
            sources = {name: source for name, (source, _) in mine.items()}
            _patch(store, cursor, target, keys, sources, plain)


def _patch(
    store: Store,
    cursor: DuckDBPyConnection,
    target: str,
    keys: Keys,
    sources: Mapping[str, Source],
    plain: Callable[[pa.Table, Source], pa.ChunkedArray | pa.Array],
) -> None:
    """Give the samples of some keys the values of a table; NULL where it has no row of theirs."""
    table, version = next((s.table, s.version) for s in sources.values())
    columns = sorted({source.column for source in sources.values()})
    rows, has_row = store.find(table, keys, columns, version=version)
    places = np.where(has_row, np.cumsum(has_row) - 1, -1)
    at = arrow_array(places, places < 0)
    values = {name: plain(rows, source).take(at) for name, source in sources.items()}
    cursor.register("~patch", pa.table({"~key": arrow_array(keys)} | values))
    settings = ", ".join(f"{quoted(name)} = p.{quoted(name)}" for name in values)
    cursor.execute(f'UPDATE {target} AS t SET {settings} FROM "~patch" AS p WHERE t.key = p."~key"')
