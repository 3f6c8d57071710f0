"""Make a later version of a loaded table ready while queries of the version before go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slicedb.query.bound.catalog import TableInfo
from slicedb.query.hot.carry import Carried, changed_columns
from slicedb.query.hot.loaded import Loaded, Origin
from slicedb.query.hot.warm import ALWAYS, WarmTables, share_keys


@dataclass(frozen=True, eq=False)
class _Ready:
    """A copy that no query sees yet."""

    carried: Carried
    place: str
    rows: int
    asked: dict[str, float]
    """The columns that were asked lately of the version before, by their names in this one."""


class FollowingTables(WarmTables):
    """Loaded tables that follow what others write; see `LoadedTables` for the arguments.

    `WarmTables` carries a table over when a query asks the later version, and all other queries
    wait for that. Here the copy is made outside the lock, and shown once it is whole.
    """

    def follow(self, info: TableInfo, versions: Mapping[str, int]) -> bool:
        """Carry a table over to a version, with the columns that were asked lately.

        Args:
            info: the table at that version.
            versions: of the tables of models whose columns are laid beside it.

        Returns:
            Whether the version is ready; False where a query that asks it has to load it, since
            nothing of it is loaded, too much has changed or the columns are others.
        """
        name = f"{info.name}@{info.version}"
        with self._lock:
            is_loaded = self.has(name)
            origin = next(iter(self._loaded_origins(info)), None)
        if is_loaded or origin is None:
            return is_loaded and self._follow_models(name, versions)
        asked, beside = self._taken_along(origin, versions)
        wanted = {*asked, *ALWAYS} & {*info.types}
        own = [c for c, s in origin.sources.items() if s is None and c in wanted]
        flat = {c: s for c, s in beside.items() if self._is_flat(s)}
        changes = self._store.changes(
            info.name, origin.version, info.version, own, self._few(info.name)
        )
        found = changed_columns(self._store, flat, origin.sources, self._few)
        if changes is None or "key" not in own:
            return False
        if not len(changes) and not any(c for _, _, c in found.values()):
            with self._lock:  # nothing is copied
                if not self.has(name):
                    self._begin(info, own, {c: beside[c] for c in found})
            return True
        carried = Carried(origin.rows, info.name, changes, info.version, own, found)
        ready = _Ready(carried, *self._copied(carried), asked)
        with self._lock:
            return self._show_ready(name, ready, origin)

    def _follow_models(self, name: str, versions: Mapping[str, int]) -> bool:
        """Add newer columns of models to a version that is loaded already."""
        with self._lock:
            state = self._loaded[name]
            origin, place = self._origin_of(name), state.place
            _, beside = self._taken_along(origin, versions)
            missing = {c: s for c, s in beside.items() if c not in state.columns}
        if not missing:
            return True
        carried = self._newer_beside(origin, name, missing)
        if carried is None:
            return False
        copy, rows = self._copied(carried)
        with self._lock:
            if self._loaded.get(name) is not state or state.place != place:
                self._connection.execute(f"DROP TABLE {copy}")  # a query was faster
                return False
            self._settle(name, copy, rows, carried)
        return True

    def _show_ready(self, name: str, ready: _Ready, origin: Origin) -> bool:
        """Show a copy, unless a query has loaded the version meanwhile."""
        if self.has(name):
            self._connection.execute(f"DROP TABLE {ready.place}")
            return True
        state = self._loaded[name] = Loaded()
        self._settle(name, ready.place, ready.rows, ready.carried)
        changes = ready.carried.changes
        assert changes is not None
        state.sources |= dict.fromkeys(ready.carried.own)
        state.asked |= ready.asked
        state.changed += origin.changed + len(changes)
        if origin.loaded is not None and changes.moves_none:
            share_keys(state, origin.loaded)
        self.forget(ready.carried.table)
        self._keeper.note()
        return True
