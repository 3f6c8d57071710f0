"""Read a database as it was: every table at one version, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

import pyarrow as pa

from slicedb.errors import DatabaseError, UnknownTableError, did_you_mean
from slicedb.schema import spoken
from slicedb.store.tables import Store

if TYPE_CHECKING:
    import lance

_T = TypeVar("_T")


class Past(Store):
    """All tables at the versions of one moment.

    A table without a version at that moment does not exist here, whatever was created later, so
    every answer is that of a copy of the directory made at that moment.

    Args:
        store: the database of today.
        tables: version of each table.
        title: the name of the moment in errors and `repr`, for example "clean".
    """

    def __init__(self, store: Store, tables: Mapping[str, int], title: str) -> None:
        super().__init__(store.path, store.files)
        self.title = title
        self._present = store
        self._tables = dict(tables)
        self._opened: dict[tuple[str, int], lance.LanceDataset] = {}

    def names(self, *, absent: bool = False) -> list[str]:
        """Return the names of the tables of that moment, sorted."""
        return sorted(self._tables)

    def has(self, name: str) -> bool:
        """Return whether a table of that name existed."""
        return name in self._tables

    def dataset(self, name: str, version: int | None = None) -> lance.LanceDataset:
        """Return the `lance.LanceDataset` at the version of that moment, or at the one given.

        Raises:
            UnknownTableError: there was no such table.
            DatabaseError: that version is gone.
        """
        if name not in self._tables:
            hint = did_you_mean(name, self._tables, "tables")
            raise UnknownTableError(f"No table '{spoken(name)}' at '{self.title}'.", hint)
        slot = (name, version or self._tables[name])
        with self._lock:
            if slot not in self._opened:
                self._opened[slot] = self._present.dataset(*slot)
            return self._opened[slot]

    def version(self, name: str) -> int:
        """Return the version number of a table at that moment."""
        return self._tables[name] if name in self._tables else int(self.dataset(name).version)

    def versions(self) -> dict[str, int]:
        """Return the version of every table at that moment, by name."""
        return dict(self._tables)

    # --- nothing is written -------------------------------------------------------------------

    def create(self, name: str, schema: pa.Schema, rows: pa.Table | None = None) -> bool:
        """Leave an existing table as it is; refuse to create another."""
        if name not in self._tables:
            self._refuse()
        return False

    def replace(
        self,
        name: str,
        schema: pa.Schema,
        rows: pa.Table | None = None,
        *,
        expected_version: int,
    ) -> NoReturn:
        """Refuse."""
        self._refuse()

    def drop(self, name: str) -> None:
        """Refuse."""
        self._refuse()

    def pins(self, name: str, older_than: timedelta | None = None) -> dict[str, int]:
        """Return the version the table is at, as if it were pinned: nothing may drop it."""
        return {self.title: self.version(name)}

    def unpin(self, name: str, tag: str) -> None:
        """Refuse."""
        self._refuse()

    def sync(self) -> None:
        """Do nothing: nothing was written."""

    @property
    def lancedb(self) -> NoReturn:
        """Refuse: LanceDB's connection could write, and shows the present."""
        self._refuse()

    def attempt(self, name: str, write: Callable[[], _T], change: str = "write") -> _T:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise DatabaseError(
            f"This is the database as it was at '{self.title}', which cannot be changed.",
            f"`slicedb checkout {self.title}` goes back there, or start a branch.",
        )

    def __repr__(self) -> str:
        return f"Store({self.path!r}).at({self.title!r})"
