"""Keep loaded tables over processes and edits: in files, and from one version to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from slicedb.query.bound.catalog import TableInfo, bindable
from slicedb.query.hot.carry import Carried, carry, changed_columns
from slicedb.query.hot.files import HotFile
from slicedb.query.hot.keeping import Keeper
from slicedb.query.hot.loaded import Column, Loaded, LoadedTables, Origin
from slicedb.query.hot.relations import hot_column
from slicedb.query.hot.sources import Source, Sources
from slicedb.sql import quoted
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.store import Store

_T = TypeVar("_T")

ALWAYS = ("key", "status", "id")
"""Columns of samples that every query of them reads."""


class WarmTables(LoadedTables):
    """Loaded tables that outlive a process and an edit; see `LoadedTables` for the arguments."""

    least_rows = 200
    """Rows from which a table is kept in a file; fewer are loaded as fast."""
    seconds_between = 20.0
    """Seconds between two files of a table for versions that edits made of one another."""
    light = 0.002
    """Share of changed rows up to which a process that ends leaves the file to another one."""
    few = 0.05
    """Share of rows up to which an edit is carried over instead of loading the columns again."""
    lately = 300.0
    """Seconds for which a column that was asked is taken along to the versions that follow."""

    def __init__(self, store: Store, connection: DuckDBPyConnection) -> None:
        super().__init__(store, connection)
        self._sources = Sources(store)
        self._keeper = Keeper(self.keep)

    def reading(self, read: Callable[[], _T]) -> _T:
        """Return what a call gives, called again without the files if one cannot be read."""
        try:
            return read()
        except Exception as error:
            if not self._files.is_unreadable(error) or not self.distrust():
                raise
            return read()

    def _begin(self, info: TableInfo, columns: list[str], beside: dict[str, Source]) -> Loaded:
        """Return the state of a table that is not loaded: from its file, or an earlier version."""
        name = f"{info.name}@{info.version}"
        state = self._loaded[name] = Loaded()
        file = self._files.open(info.name, info.version)
        if file is not None and self._show(name, file):
            return state
        if self._store.count(info.name, info.version) >= self.least_rows:
            self._carry_rows(info, columns, beside)
            state.used = time.monotonic()
            self.forget(info.name)
        return state

    def _show(self, name: str, file: HotFile) -> bool:
        """Show a table from a file; False where the file is not what it should be."""
        sources = self._known(file)
        try:
            rows = int(self.fetch(f"SELECT count(*) AS n FROM {file.table}")["n"][0].as_py())
            self._place(name, file.table, set(sources), rows)
        except self._files.error:
            self._files.close(file)
            self._files.remove(file.path)
            return False
        state = self._loaded[name]
        before, state.file = state.file, file
        self._close(before)
        state.is_view, state.sources = True, sources
        return True

    def _known(self, file: HotFile) -> dict[str, Source | None]:
        """Return the columns of a file whose source is as it was, with their sources."""
        read = {c: self._sources.parse(text) if text else None for c, text in file.columns.items()}
        return {c: source for c, source in read.items() if source or not file.columns[c]}

    def _spare(self, state: Loaded, wanted: list[str]) -> dict[str, Column]:
        """Return those columns that the file has and the table, which grew since, has not."""
        file = state.file
        if file is None or state.is_view:
            return {}
        known = self._known(file)
        names = [c for c in wanted if c in known]
        if not names:
            return {}
        table = self.fetch(f"SELECT {', '.join(map(quoted, names))} FROM {file.table}")
        return {c: table[c] for c in names}

    def _carry_rows(self, info: TableInfo, columns: list[str], beside: dict[str, Source]) -> None:
        """Add columns that an earlier version has, if few rows changed since."""
        origin = self._earlier(info, columns, beside)
        if origin is None:
            return
        state = self._loaded[f"{info.name}@{info.version}"]
        wanted = {*columns, *ALWAYS}
        if not state.columns:
            # All at once that was asked lately: each further copy costs as much as the first.
            state.asked, along = self._taken_along(origin, _versions(beside))
            wanted |= {*state.asked}
            beside = along | beside
        own = [c for c, s in origin.sources.items() if s is None and c in wanted & {*info.types}]
        own = [c for c in own if c == "key" or c not in state.columns]
        few = self._few(info.name)
        changes = self._store.changes(info.name, origin.version, info.version, own, few)
        flat = {c: s for c, s in beside.items() if self._is_flat(s)}
        found = changed_columns(self._store, flat, origin.sources, self._few)
        is_more = not {*own, *found} <= {"key", *state.columns}
        if changes is not None and "key" in own and is_more:
            name = f"{info.name}@{info.version}"
            is_same = not len(changes) and not any(c for _, _, c in found.values())
            place = origin.loaded.place if origin.loaded is not None else ""
            if not is_same or state.place not in ("", place):
                self._fill(name, Carried(origin.rows, info.name, changes, info.version, own, found))
                if origin.loaded is not None and changes.moves_none:
                    share_keys(state, origin.loaded)
            else:
                self._share(name, origin, own, {new: old for new, (old, _, _) in found.items()})
            state.sources |= dict.fromkeys(own) | {c: beside[c] for c in found}
            state.changed += origin.changed + len(changes)
        self._close(origin.file)

    def _share(self, name: str, origin: Origin, own: list[str], beside: dict[str, str]) -> None:
        """Show the rows of an earlier version, of which none has changed, where they are."""
        state, before = self._loaded[name], origin.loaded
        wanted: dict[str, str | None] = dict.fromkeys(own) | beside
        if before is None:
            assert origin.file is not None
            lent: HotFile | None = origin.file
            place = origin.file.table
            names = {new: old or new for new, old in wanted.items()}
            rows = int(self.fetch(f"SELECT count(*) AS n FROM {place}")["n"][0].as_py())
        else:
            place = before.place
            lent = before.lent or (before.file if before.is_view else None)
            shown = {new: before.names[old or new] for new, old in wanted.items()}
            names, rows = state.names | shown, before.rows
            share_keys(state, before)
            state.visible = before.visible
        self._place(name, place, names, rows)
        state.lent, state.is_carried = lent, True

    def _taken_along(
        self, origin: Origin, versions: Mapping[str, int]
    ) -> tuple[dict[str, float], dict[str, Source]]:
        """Return the columns that were asked lately, as they are called now, and when.

        Args:
            origin: the earlier version that has them.
            versions: of tables of models; of the others the newest ones are taken.

        Returns:
            Column to time, and the sources of those of models.
        """
        newest = dict(versions)
        lately = dict(origin.asked)  # queries of other threads may add to it
        since = max(lately.values(), default=0.0) - self.lately
        asked: dict[str, float] = {}
        beside: dict[str, Source] = {}
        for name, when in lately.items():
            source = origin.sources.get(name)
            if when < since or (source is not None and not self._store.has(source.table)):
                continue
            if source is not None:
                if source.table not in newest:
                    newest[source.table] = self._store.version(source.table)
                version = newest[source.table]
                name = hot_column(version, name.rpartition("@")[0])
                beside[name] = replace(source, version=version)
            asked[name] = when
        return asked, beside

    def _earlier(
        self, info: TableInfo, columns: list[str], beside: dict[str, Source]
    ) -> Origin | None:
        """Return the earlier version of a table that has the most of what is wanted."""
        wanted = {*columns} - {*beside} | {replace(s, version=0) for s in beside.values()}
        best: Origin | None = None
        most = 0
        for origin in self._origins(info):
            has = {c if s is None else replace(s, version=0) for c, s in origin.sources.items()}
            if len(wanted & has) > most:
                if best is not None and best.file is not None:
                    self._files.close(best.file)
                best, most = origin, len(wanted & has)
            elif origin.file is not None:
                self._files.close(origin.file)
            if most == len(wanted):
                break
        return best

    def _origins(self, info: TableInfo) -> Iterator[Origin]:
        """Yield the earlier versions that are loaded, then those in files, the latest first."""
        yield from self._loaded_origins(info)
        for file in self._files.open_earlier(info.name, info.version):
            yield Origin(file.version, file.table, self._known(file), {}, file=file)

    def _loaded_origins(self, info: TableInfo) -> list[Origin]:
        """Return the earlier versions that are loaded, the latest first."""
        mine = [n for n, s in self._loaded.items() if n.startswith(f"{info.name}@") and s.sources]
        earlier = [o for o in map(self._origin_of, mine) if o.version < info.version]
        return sorted(earlier, key=lambda origin: origin.version, reverse=True)

    def _origin_of(self, name: str) -> Origin:
        """Return a loaded table as one that others are carried over from."""
        state, version = self._loaded[name], int(name.rpartition("@")[2])
        sources = {c: s for c, s in state.sources.items() if c in state.columns}
        rows = f"hot.{quoted(name)}"
        return Origin(version, rows, sources, state.asked, state.changed, loaded=state)

    def _carry_beside(self, name: str, wanted: dict[str, Source]) -> dict[str, Source]:
        """Add columns of models as an earlier version of theirs has them; returns the others."""
        state = self._loaded[name]
        carried = self._newer_beside(self._origin_of(name), name, wanted)
        if carried is None:
            return wanted
        place, rows = self._copied(carried)
        self._settle(name, place, rows, carried)
        return {c: s for c, s in wanted.items() if c not in state.columns}

    def _newer_beside(self, before: Origin, name: str, wanted: dict[str, Source]) -> Carried | None:
        """Return how a table takes over newer columns of models, with all else that it has.

        Columns of the same models that were asked lately come along: another copy of the table
        would cost as much as this one.
        """
        state = before.loaded
        assert state is not None
        versions = _versions(wanted)
        asked, along = self._taken_along(before, versions)
        more = {c: s for c, s in along.items() if s.table in versions and c not in state.columns}
        flat = {c: s for c, s in (more | wanted).items() if self._is_flat(s)}
        found = changed_columns(self._store, flat, before.sources, self._few)
        if not found:
            return None
        state.asked |= {c: asked[c] for c in found if c in asked}
        taken = {old for old, _, _ in found.values()}
        same = {replace(source, version=0) for _, source, _ in found.values()}
        # The version before stays, for a query that was bound to it; those before it go.
        older = {
            c
            for c, source in before.sources.items()
            if source is not None and replace(source, version=0) in same and c not in taken
        }
        table, _, version = name.rpartition("@")
        kept = [c for c in self._kept(state) if c not in older]
        return Carried(f"hot.{quoted(name)}", table, None, int(version), kept, found)

    def _fill(self, name: str, carried: Carried) -> None:
        """Add columns that are carried over, or show a table that consists of them."""
        state = self._loaded[name]
        place, rows = self._copied(carried)
        if state.columns:
            self._join(name, place, {*carried.own, *carried.beside} - state.columns)
            self._connection.execute(f"DROP TABLE {place}")
            self._note_carried(state, carried)
        else:
            self._settle(name, place, rows, carried)

    def _copied(self, carried: Carried) -> tuple[str, int]:
        """Make a table of what is carried over; returns its place and its rows."""
        with self._lock:
            place = self._new_place()
        cursor = self._connection.cursor()
        try:
            carry(self._store, cursor, place, carried, values_of)
            rows = cursor.execute(f"SELECT count(*) FROM {place}").fetchall()
        finally:
            cursor.close()
        return place, int(rows[0][0])

    def _settle(self, name: str, place: str, rows: int, carried: Carried) -> None:
        """Show a table from the place that was made for it."""
        state = self._loaded[name]
        self._place(name, place, [*carried.own, *carried.beside], rows)
        self._note_carried(state, carried)

    def _note_carried(self, state: Loaded, carried: Carried) -> None:
        state.sources |= {c: source for c, (_, source, _) in carried.beside.items()}
        state.is_carried = True
        state.changed += sum(len(c) for _, _, c in carried.beside.values() if c is not None)

    def _is_flat(self, source: Source) -> bool:
        """Return whether DuckDB can update a column in place, without moving rows."""
        kind = self._store.schema(source.table, source.version).field(source.column).type
        return bool(source.index) or not pa.types.is_nested(kind)

    def _few(self, table: str) -> int:
        return int(self.few * self._store.count(table))

    def keep(self, is_end: bool = False) -> bool:
        """Write what was loaded of large tables to files; returns whether some are left for later.

        Args:
            is_end: whether Python ends, so that there is no later.
        """
        is_left = False
        for name in list(self._loaded):
            is_left |= self._keep(name, is_end)
        return is_left

    def _keep(self, name: str, is_end: bool) -> bool:
        table, _, version = name.rpartition("@")
        with self._lock:
            state = self._loaded.get(name)
            if state is None or state.is_view or state.rows < self.least_rows or not state.sources:
                return False
            if state.is_carried and self._files.age(table) < self.seconds_between:
                return True
            if state.is_carried and is_end and state.changed <= self.light * state.rows:
                return True  # the next process carries them over in a tenth of the time
            columns = {c: s for c, s in state.sources.items() if c in state.columns}
            texts = {c: "" if s is None else self._sources.text(s) for c, s in columns.items()}
            sources = {c: text for c, text in texts.items() if text is not None}
            shown = ", ".join(f"o.{quoted(c)}" for c in sources)
            rows = f"SELECT {shown} FROM hot.{quoted(name)} AS o"
            if state.file is not None:
                spare = {c: text for c, text in state.file.columns.items() if c not in sources}
                if spare:
                    more = ", ".join(f"f.{quoted(c)}" for c in spare)
                    rows = (
                        f"SELECT {shown}, {more} FROM hot.{quoted(name)} AS o "
                        f"POSITIONAL JOIN {state.file.table} AS f"
                    )
                    sources |= spare
        file = self._files.write(table, int(version), rows, sources)
        if file is None:
            return False
        with self._lock:
            state = self._loaded.get(name)
            if state is not None and state.columns <= set(file.columns):
                self._show(name, file)
            else:
                self._files.close(file)
        return False

    def distrust(self) -> bool:
        """Forget the files, after one could not be read; returns whether there were any."""
        with self._lock:
            used = {n: (s.file, s.lent) for n, s in self._loaded.items() if s.file or s.lent}
            for name, files in used.items():
                self._forget(name)
                for file in files:
                    if file is not None:
                        self._files.remove(file.path)
            return bool(used)


def _versions(columns: Mapping[str, Source]) -> dict[str, int]:
    """Return the version of each table that columns of models are from."""
    return {source.table: source.version for source in columns.values()}


def share_keys(state: Loaded, before: Loaded) -> None:
    """Let a table have what is known of the keys of an earlier version with the same rows."""
    state.keys, state.index, state.ids = before.keys, before.index, before.ids


def values_of(rows: pa.Table, source: Source) -> pa.ChunkedArray:
    """Return the values of a source as they are loaded, from rows of its table."""
    values = plain(rows[source.column])
    return _element(values, source.index - 1) if source.index else values


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in the type that it is loaded with."""
    kind = bindable(column.type)
    return column if kind == column.type else column.cast(kind)


def _element(lists: pa.ChunkedArray, index: int) -> pa.ChunkedArray:
    """Return one element of each list, null where the list is null."""
    import pyarrow.compute as pc

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
