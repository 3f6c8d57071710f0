"""Say which version of which table the values of a loaded column are from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicedb.cache import Cache

if TYPE_CHECKING:
    from slicedb.store import Store

_STAMPS = 256
"""Versions of tables whose stamps are kept."""


@dataclass(frozen=True)
class Source:
    """A column of a model's table that is laid beside the samples."""

    table: str
    version: int
    column: str
    """Its name in that table."""
    index: int
    """Which element of its lists, from 1; 0 is the whole value."""


class Sources:
    """Writes and reads the sources of columns, for files that other processes read.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stamps = Cache[tuple[str, int], str](_STAMPS)

    def text(self, source: Source) -> str | None:
        """Return a source as it is written in a file; None where a version has no stamp."""
        stamp = self._stamp(source.table, source.version)
        if not stamp:
            return None
        return f"{source.index} {source.version} {stamp} {source.table} {source.column}"

    def parse(self, text: str) -> Source | None:
        """Return a source from a file; None where its version holds other rows by now."""
        try:
            index, version, stamp, table, column = text.split(" ", 4)
            source = Source(table, int(version), column, int(index))
        except ValueError:
            return None
        return source if stamp and stamp == self._stamp(table, source.version) else None

    def _stamp(self, table: str, version: int) -> str:
        slot = (table, version)
        return self._stamps.get(slot, lambda: self._store.stamp(table, version) or "")
