"""Hold loaded columns in DuckDB, and show them by views that change all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb.keys import KeyIndex
from slicedb.query.hot.files import HotFile, HotFiles
from slicedb.query.hot.sources import Source
from slicedb.schema import IS_SHOWN
from slicedb.sql import quoted
from slicedb.store.without_pandas import arrow_array, import_dataset

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.store import Store

_KEEP = 4
_KEEP_ROWS = 4_000_000
"""Versions of one table kept loaded: so many, but beside the last two only while all of them have
no more rows than this."""

_FEW_IDS = 100_000
"""Ids that are kept the second time that some of them are asked for; of more, the eighth time."""

Column: TypeAlias = pa.Array | pa.ChunkedArray | np.ndarray


@dataclass(eq=False)
class Origin:
    """A loaded table, or a file, of an earlier version."""

    version: int
    rows: str
    """SQL of the table."""
    sources: dict[str, Source | None]
    """Its columns, as those of `Loaded`."""
    asked: dict[str, float]
    """Those that a query of this process has read, as those of `Loaded`."""
    changed: int = 0
    """As that of `Loaded`."""
    loaded: Loaded | None = None
    """The loaded table."""
    file: HotFile | None = None
    """The file, where it is no loaded table."""


@dataclass(eq=False)
class Loaded:
    """One loaded table."""

    columns: set[str] = field(default_factory=set)
    sources: dict[str, Source | None] = field(default_factory=dict)
    """Those of the columns that a file may hold; None is the table itself."""
    asked: dict[str, float] = field(default_factory=dict)
    """The columns that queries of this process have read lately, and when the last one did."""
    file: HotFile | None = None
    """The file that holds the table, or a part of its columns."""
    is_view: bool = False
    """Whether the table is shown from the file."""
    lent: HotFile | None = None
    """The file of an earlier version with the same rows, that the table is shown from."""
    names: dict[str, str] = field(default_factory=dict)
    """Each column by its name in `place`."""
    is_carried: bool = False
    """Whether its columns come from an earlier version."""
    changed: int = 0
    """Rows that changed since the version that was loaded or is in a file."""
    place: str = ""
    """SQL name of the table that the rows are in; queries see it by a view."""
    rows: int = 0
    keys: np.ndarray | None = None
    index: KeyIndex | None = None
    visible: np.ndarray | None = None
    ids: pa.Array | None = None
    listed: int = 0
    """Ids that were asked for; all of them are kept once they are as many as the rows."""
    used: float = 0.0


class LoadedTables:
    """The loaded tables of one database, by name: `samples@7`.

    Args:
        store: the database.
        connection: a DuckDB connection; tables go to its schema `hot`.
    """

    def __init__(self, store: Store, connection: DuckDBPyConnection) -> None:
        self._store = store
        self._connection = connection
        self._loaded: dict[str, Loaded] = {}
        self._lock = threading.RLock()
        self._files = HotFiles(store, connection)
        self._made = 0

    def add(self, name: str, fields: Mapping[str, Column]) -> None:
        """Add columns to a loaded table, in its order."""
        if not fields:
            return
        self._loaded.setdefault(name, Loaded())
        self._join(name, pa.table(fields), list(fields))

    def _join(self, name: str, rows: str | pa.Table, columns: Iterable[str]) -> None:
        """Add columns of another table, as many rows in the same order.

        Args:
            name: of the loaded table, which may have no columns yet.
            rows: SQL of the other table, or the table.
            columns: those of it that are added.
        """
        state = self._loaded[name]
        kept = self._kept(state)
        shown = [*(f"o.{quoted(c)}" for c in kept), *(f"n.{quoted(c)}" for c in columns)]
        place = self._new_place()
        cursor = self._connection.cursor()
        if not isinstance(rows, str):
            cursor.register("~new", rows)
        other = f"{rows if isinstance(rows, str) else quoted('~new')} AS n"
        both = f"hot.{quoted(name)} AS o POSITIONAL JOIN {other}" if kept else other
        try:
            cursor.execute(f"CREATE TABLE {place} AS SELECT {', '.join(shown)} FROM {both}")
            count = cursor.execute(f"SELECT count(*) FROM {place}").fetchall()
        finally:
            cursor.close()
        self._place(name, place, {*kept, *columns}, int(count[0][0]))

    def _kept(self, state: Loaded) -> list[str]:
        """Return the columns of a table that go along when it moves to another place.

        Of a file only what was asked for is taken along: the rest can be had from there.
        """
        return [c for c in state.columns if not state.is_view or c in state.asked]

    def _new_place(self) -> str:
        self._made += 1
        return f'hot."~{self._made}"'

    def _place(
        self, name: str, place: str, columns: Iterable[str] | Mapping[str, str], rows: int
    ) -> None:
        """Show a loaded table from another place, all at once: queries of other threads go on.

        Args:
            name: of the loaded table.
            place: SQL name of the table that has its rows.
            columns: those that are shown, or what they are called there by their names.
            rows: how many there are.
        """
        state = self._loaded[name]
        names = dict(columns) if isinstance(columns, Mapping) else {c: c for c in columns}
        shown = ", ".join(f"{quoted(old)} AS {quoted(new)}" for new, old in names.items())
        self._connection.execute(
            f"CREATE OR REPLACE VIEW hot.{quoted(name)} AS SELECT rowid, {shown} FROM {place}"
        )
        self._let_go(state)
        state.place, state.columns, state.rows, state.is_view = place, set(names), rows, False
        state.names, state.used = names, time.monotonic()

    def _let_go(self, state: Loaded) -> None:
        """Free the memory of a table, unless it is that of a file or of another version too."""
        is_shared = any(s.place == state.place for s in self._loaded.values() if s is not state)
        if state.place and not (is_shared or state.is_view or state.lent):
            self._connection.execute(f"DROP TABLE {state.place}")
        lent, state.lent = state.lent, None
        self._close(lent)

    def _close(self, file: HotFile | None) -> None:
        """Close a file that is shown no more."""
        shown = [f for state in self._loaded.values() for f in (state.file, state.lent)]
        if file is not None and not any(f is file for f in shown):
            self._files.close(file)

    def drop(self, name: str, columns: list[str]) -> None:
        """Drop columns of a loaded table."""
        state = self._loaded[name]
        left = state.columns - set(columns)
        shown = ", ".join(map(quoted, left))
        place = self._new_place()
        self._connection.execute(f"CREATE TABLE {place} AS SELECT {shown} FROM hot.{quoted(name)}")
        self._place(name, place, left, state.rows)

    def forget(self, table: str) -> None:
        """Drop the versions of a table that were used longest ago."""
        mine = [n for n in self._loaded if n.startswith(f"{table}@")]
        places: dict[str, int] = {}  # the rows in memory; those of files take none
        for i, name in enumerate(sorted(mine, key=lambda n: -self._loaded[n].used)):
            state = self._loaded[name]
            if not (state.is_view or state.lent):
                places[state.place] = state.rows
            if i >= _KEEP or (i > 1 and sum(places.values()) > _KEEP_ROWS):
                places.pop(state.place, None)
                self._forget(name)

    def _forget(self, name: str) -> None:
        state = self._loaded.pop(name)
        self._connection.execute(f"DROP VIEW IF EXISTS hot.{quoted(name)}")
        self._let_go(state)
        self._close(state.file)

    def tables(self) -> set[str]:
        """Return the names of the tables of which a version is loaded."""
        with self._lock:
            return {name.rpartition("@")[0] for name in self._loaded}

    def has(self, name: str) -> bool:
        """Return whether a table is loaded."""
        return name in self._loaded

    def touch(self, name: str) -> bool:
        """Return whether a table is loaded, and note that it is used."""
        if name not in self._loaded:
            return False
        self._loaded[name].used = time.monotonic()
        return True

    def columns(self, name: str) -> set[str]:
        """Return the names of the columns of a loaded table."""
        return self._loaded[name].columns

    def fetch(self, text: str) -> pa.Table:
        """Return the result of SQL over loaded tables, in their order."""
        cursor = self._connection.cursor()
        try:
            return cursor.sql(text).to_arrow_table()
        finally:
            cursor.close()

    def rows(self, name: str) -> int:
        """Return the number of rows of a loaded table."""
        return self._loaded[name].rows

    def keys(self, name: str) -> np.ndarray:
        """Return int64 (n,): the keys of a loaded samples table, in its order."""
        with self._lock:
            state = self._loaded[name]
            if state.keys is None:
                state.keys = self._column(name, "key").astype(np.int64)
            return state.keys

    def index(self, name: str) -> KeyIndex:
        """Return the rows of the keys of a loaded samples table."""
        with self._lock:
            state = self._loaded[name]
            if state.index is None:
                state.index = KeyIndex(self.keys(name))
            return state.index

    def ids(self, name: str, rows: np.ndarray) -> list[str]:
        """Return the ids of rows of a loaded samples table.

        Args:
            name: of the table.
            rows: int64 (m,): places in its order.
        """
        with self._lock:
            state = self._loaded[name]
            state.listed += max(len(rows), state.rows // 8, min(state.rows, _FEW_IDS))
            if state.ids is None and state.listed > state.rows:
                state.ids = self.fetch(f"SELECT id FROM hot.{quoted(name)}")["id"].combine_chunks()
            if state.ids is not None:
                import_dataset()
                return list(state.ids.take(arrow_array(rows)).to_pylist())
        cursor = self._connection.cursor()
        try:
            cursor.register("~rows", pa.table({"row": arrow_array(rows)}))
            found = cursor.sql(
                f"SELECT rowid AS row, id FROM hot.{quoted(name)} "
                'WHERE rowid IN (SELECT row FROM "~rows")'
            ).to_arrow_table()
        finally:
            cursor.close()
        order, ids = found["row"].to_numpy(), found["id"].to_pylist()
        if np.array_equal(order, rows):
            return list(ids)
        ascending = np.argsort(order)
        places = ascending[np.searchsorted(order, rows, sorter=ascending)]
        return [ids[place] for place in places.tolist()]

    def has_ids(self, name: str) -> bool:
        """Return whether all ids of a loaded samples table are held in memory."""
        return self._loaded[name].ids is not None

    def visible(self, name: str) -> np.ndarray:
        """Return bool (n,): which samples have status 'ok'."""
        with self._lock:
            state = self._loaded[name]
            if state.visible is None:
                state.visible = self._column(name, IS_SHOWN).astype(bool)
            return state.visible

    def _column(self, name: str, expression: str) -> np.ndarray:
        cursor = self._connection.cursor()
        try:
            answer = cursor.sql(f"SELECT {expression} AS c FROM hot.{quoted(name)}")
            return np.asarray(answer.to_arrow_table()["c"].to_numpy())
        finally:
            cursor.close()
