"""Append rows whose ids were seen to be new, or join them where another process writes too."""

from __future__ import annotations

import pyarrow as pa

from slicedb.errors import ConflictError
from slicedb.store import Store

_JOINED = 1 << 15
"""Rows that are joined with the table at once."""


class FreshRows:
    """Writes new rows of one table; an append costs a fifth of a join.

    Args:
        store: the database.
        table: its name.
        version: the version at which the ids of all rows to come were seen to be new; None where
            nobody has looked.
    """

    def __init__(self, store: Store, table: str, version: int | None) -> None:
        self._store, self._table, self._version = store, table, version

    def write(self, rows: pa.Table) -> None:
        """Add rows, each of them once, whatever other processes do meanwhile."""
        if self._version is not None:
            try:
                version = self._store.append(self._table, rows, expected_version=self._version)
            except ConflictError:  # another process may have added some of these rows
                self._version = None
            else:
                self._version = version
                return
        self.join(rows)

    def join(self, rows: pa.Table, *, insert: bool = True) -> None:
        """Write rows of which some are there; whatever comes next is joined too."""
        self._version = None
        for start in range(0, len(rows), _JOINED):
            self._store.upsert(self._table, rows.slice(start, _JOINED), insert=insert)

    def close(self) -> None:
        """Compact and index what was appended."""
        self._store.tend(self._table)
