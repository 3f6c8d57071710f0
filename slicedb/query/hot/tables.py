"""Load the columns that queries ask for into native DuckDB tables, by (table, version).

The samples table also takes the columns of models that were asked for, laid beside the samples
once, so that a query over five models is one scan and no join.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.keys import KeyIndex
from slicedb.query.bound.catalog import TableInfo, bindable
from slicedb.query.bound.relation import ModelColumn, Relation
from slicedb.query.hot.relations import hot_column, hot_name, hot_number
from slicedb.schema import IS_SHOWN, SAMPLES
from slicedb.sql import quoted
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.query.hot.boxes import HotBoxes
    from slicedb.store import Store

_KEEP = 4
"""Versions of one table kept loaded."""
_BATCH = 16_384
"""Rows whose nested lists are held at once."""


Column: TypeAlias = pa.Array | pa.ChunkedArray | np.ndarray


@dataclass
class Loaded:
    """One loaded table."""

    columns: set[str] = field(default_factory=set)
    rows: int = 0
    keys: np.ndarray | None = None
    index: KeyIndex | None = None
    visible: np.ndarray | None = None
    ids: pa.ChunkedArray | None = None
    used: float = 0.0


class HotTables:
    """The loaded columns of one database.

    Args:
        store: the database.
        connection: a DuckDB connection; tables go to its schema `hot`.
    """

    def __init__(self, store: Store, connection: DuckDBPyConnection) -> None:
        self._store = store
        self._connection = connection
        self._loaded: dict[str, Loaded] = {}
        self._lock = threading.RLock()

    @cached_property
    def _boxes(self) -> HotBoxes:
        """The tables of boxes; most queries have none, and need no metrics of detection."""
        from slicedb.query.hot.boxes import HotBoxes

        return HotBoxes(self)

    def ensure(self, relations: Iterable[Relation], narrow: Callable[[Relation], bool]) -> int:
        """Load the columns that relations need and that are not loaded yet.

        Returns:
            The number of columns loaded.
        """
        with self._lock:
            loaded, started = 0, time.monotonic()
            for relation in relations:
                if relation.kind == "boxes":
                    loaded += self._boxes.ensure(relation)
                elif relation.table is not None:
                    columns = relation.wanted(narrow(relation))
                    if relation.kind == "samples":
                        columns = [*columns, "key", "status"]
                    loaded += self._ensure(relation.table, columns, relation.extras)
                    loaded += self._count(relation)
            if "_boxes" in self.__dict__:
                self._boxes.trim(started)
            return loaded

    def _count(self, relation: Relation) -> int:
        """Lay the numbers of boxes that a samples relation needs beside the samples."""
        boxes = {hot_number(hot_name(b)): b for c in relation.counts.values() for b in c.boxes}
        name = hot_name(relation)
        new = {n: b for n, b in boxes.items() if n not in self.columns(name)}
        self.add(name, {n: self._boxes.number(b) for n, b in new.items()})
        return len(new)

    def _ensure(
        self, info: TableInfo, columns: list[str], extras: dict[ModelColumn, TableInfo]
    ) -> int:
        name = f"{info.name}@{info.version}"
        state = self._loaded.setdefault(name, Loaded())
        state.used = time.monotonic()
        new = [c for c in dict.fromkeys(columns) if c not in state.columns]
        beside = {
            hot_column(table.version, extra.shown): (extra, table)
            for extra, table in extras.items()
            if hot_column(table.version, extra.shown) not in state.columns
        }
        if not new and not beside:
            return 0
        fields: dict[str, Column] = {}
        if new:
            table = self._store.table(info.name, new, version=info.version)
            fields |= {c: _plain(table[c]) for c in new}
        self.add(name, fields)
        if beside:
            self.add(name, self._beside(name, beside))
        self.forget(info.name)
        return len(new) + len(beside)

    def add(self, name: str, fields: Mapping[str, Column]) -> None:
        """Add columns to a loaded table, in its order."""
        if not fields:
            return
        state = self._loaded.setdefault(name, Loaded())
        state.used = time.monotonic()
        cursor = self._connection.cursor()
        cursor.register("~new", pa.table(fields))
        target = f"hot.{quoted(name)}"
        try:
            if state.columns:
                cursor.execute(
                    f"CREATE OR REPLACE TABLE {target} AS SELECT o.*, n.* FROM {target} AS o "
                    f'POSITIONAL JOIN "~new" AS n'
                )
            else:
                cursor.execute(f'CREATE OR REPLACE TABLE {target} AS SELECT * FROM "~new"')
                state.rows = len(next(iter(fields.values())))
        finally:
            cursor.unregister("~new")
            cursor.close()
        state.columns |= set(fields)

    def _beside(
        self, name: str, wanted: dict[str, tuple[ModelColumn, TableInfo]]
    ) -> dict[str, Column]:
        """Return columns of models in the order of the samples; NULL where a sample has no row."""
        keys = self.keys(name)
        fields: dict[str, Column] = {}
        for info in {t.name: t for _, t in wanted.values()}.values():
            mine = {stored: e for stored, (e, t) in wanted.items() if t.name == info.name}
            columns = list(dict.fromkeys(e.column for e in mine.values()))
            read = list(dict.fromkeys(["key", *columns]))
            table = self._store.table(info.name, read, version=info.version)
            own = table["key"].to_numpy()
            at = None if np.array_equal(own, keys) else nullable(KeyIndex(own).find(keys))
            for stored, extra in mine.items():
                values = _plain(table[extra.column])
                if extra.index:
                    values = _element(values, extra.index - 1)
                fields[stored] = values if at is None else values.take(at)
        return fields

    def drop(self, name: str, columns: list[str]) -> None:
        """Drop columns of a loaded table."""
        for column in columns:
            self._connection.execute(f"ALTER TABLE hot.{quoted(name)} DROP COLUMN {quoted(column)}")
        self._loaded[name].columns -= set(columns)

    def forget(self, table: str) -> None:
        """Drop the versions of a table that were used longest ago."""
        mine = [n for n in self._loaded if n.startswith(f"{table}@")]
        for name in sorted(mine, key=lambda n: self._loaded[n].used)[:-_KEEP]:
            del self._loaded[name]
            self._connection.execute(f"DROP TABLE IF EXISTS hot.{quoted(name)}")

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

    def read(self, table: str, columns: list[str], version: int) -> pa.Table:
        """Return columns of a stored table, in stored order."""
        return self._store.table(table, columns, version=version)

    def scan(self, table: str, columns: list[str], version: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of a stored table, in stored order."""
        return self._store.scan(table, columns, version=version, batch_size=_BATCH)

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

    def ids(self, name: str, version: int) -> pa.ChunkedArray:
        """Return the ids of a loaded samples table, in its order."""
        with self._lock:
            state = self._loaded[name]
            if state.ids is None:
                state.ids = self._store.table(SAMPLES, ["id"], version=version)["id"]
            return state.ids

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

    def samples(self, info: TableInfo) -> str:
        """Return the name of the samples table with its keys and statuses loaded."""
        assert info.name == SAMPLES
        with self._lock:
            self._ensure(info, ["key", "status"], {})
        return hot_name(Relation("samples", SAMPLES, info))


def nullable(rows: np.ndarray) -> pa.Array:
    """Return rows as Arrow indices; NULL where a key has no row (-1)."""
    return arrow_array(rows, rows < 0)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = bindable(column.type)
    return column if kind == column.type else column.cast(kind)


def _element(lists: pa.ChunkedArray, index: int) -> pa.ChunkedArray:
    """Return one element of each list, null where the list is null."""
    chunks = []
    for chunk in lists.chunks:
        size = chunk.type.list_size if pa.types.is_fixed_size_list(chunk.type) else None
        if size is None:
            chunks.append(pc.list_element(chunk, index))
            continue
        values = chunk.values.slice(chunk.offset * size, len(chunk) * size)
        places = np.arange(len(chunk)) * size + index
        missing = ~chunk.is_valid().to_numpy(zero_copy_only=False)
        chunks.append(values.take(arrow_array(places, missing)))
    return pa.chunked_array(chunks, type=lists.type.value_type)
