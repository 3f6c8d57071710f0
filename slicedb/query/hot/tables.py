"""Load the columns that queries ask for into native DuckDB tables, by (table, version).

The samples table also takes the columns of models that were asked for, laid beside the samples
once, so that a query over five models is one scan and no join.

What was loaded of a large table is kept in a file (`files.py`), and the next process shows the
table from there. After an edit the columns are taken from the version before it, changed where
rows changed (`carry.py`). Only what neither has is read from the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.keys import KeyIndex
from slicedb.query.bound.catalog import TableInfo
from slicedb.query.bound.relation import ModelColumn, Relation
from slicedb.query.hot.following import FollowingTables
from slicedb.query.hot.loaded import Column
from slicedb.query.hot.relations import hot_column, hot_name, hot_number
from slicedb.query.hot.sources import Source
from slicedb.query.hot.warm import ALWAYS, plain, values_of
from slicedb.schema import SAMPLES
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    from slicedb.query.hot.boxes import HotBoxes

_BATCH = 16_384
"""Rows whose nested lists are held at once."""


class HotTables(FollowingTables):
    """The loaded columns of one database; see `LoadedTables` for the arguments."""

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
                        columns = [*columns, *ALWAYS]
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
        beside = {
            hot_column(table.version, extra.shown): Source(
                table.name, table.version, extra.column, extra.index
            )
            for extra, table in extras.items()
        }
        state = self._loaded.get(name) or self._begin(info, columns, beside)
        state.used = time.monotonic()
        state.asked |= dict.fromkeys([*columns, *beside], state.used)
        wanted = dict.fromkeys([*columns, *beside])
        new = [c for c in wanted if c not in state.columns]
        if not new:
            return 0
        fields = self._spare(state, new)
        new = [c for c in new if c not in fields]
        self.add(name, fields)
        if new and state.rows >= self.least_rows:
            self._carry_rows(info, new, {c: s for c, s in beside.items() if c in new})
            new = [c for c in new if c not in state.columns]
        later = {c: beside[c] for c in new if c in beside}
        if later:
            later = self._carry_beside(name, later)
        own = [c for c in new if c not in beside]
        read: dict[str, Column] = {}
        if own:
            table = self._store.table(info.name, own, version=info.version)
            read = {c: plain(table[c]) for c in own}
            if state.keys is None and "key" in own:
                state.keys = table["key"].to_numpy()
        if later:
            read |= self._beside(name, later)
        self.add(name, read)
        state.sources |= {c: beside.get(c) for c in wanted}
        self.forget(info.name)
        if state.rows >= self.least_rows:
            self._keeper.note()
        return len(new)

    def _beside(self, name: str, wanted: dict[str, Source]) -> dict[str, Column]:
        """Return columns of models in the order of the samples; NULL where a sample has no row."""
        keys = self.keys(name)
        fields: dict[str, Column] = {}
        for table, version in dict.fromkeys((s.table, s.version) for s in wanted.values()):
            mine = {c: s for c, s in wanted.items() if (s.table, s.version) == (table, version)}
            read = list(dict.fromkeys(["key", *(source.column for source in mine.values())]))
            rows = self._store.table(table, read, version=version)
            own = rows["key"].to_numpy()
            at = None if np.array_equal(own, keys) else nullable(KeyIndex(own).find(keys))
            for stored, source in mine.items():
                values = values_of(rows, source)
                fields[stored] = values if at is None else values.take(at)
        return fields

    def read(self, table: str, columns: list[str], version: int) -> pa.Table:
        """Return columns of a stored table, in stored order."""
        return self._store.table(table, columns, version=version)

    def scan(self, table: str, columns: list[str], version: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of a stored table, in stored order."""
        return self._store.scan(table, columns, version=version, batch_size=_BATCH)

    def samples(self, info: TableInfo) -> str:
        """Return the name of the samples table with its keys and statuses loaded."""
        assert info.name == SAMPLES
        with self._lock:
            self._ensure(info, list(ALWAYS), {})
        return hot_name(Relation("samples", SAMPLES, info))


def nullable(rows: np.ndarray) -> pa.Array:
    """Return rows as Arrow indices; NULL where a key has no row (-1)."""
    return arrow_array(rows, rows < 0)
