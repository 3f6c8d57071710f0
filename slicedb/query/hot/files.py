"""Keep loaded tables as DuckDB files in the cache folder, so that a new process starts warm.

A file holds columns of one version of one table, in stored order. It is written under another
name and then renamed, so nobody sees half of one, and it is attached read-only: any number of
processes share it, and it may be deleted at any time. What cannot be read is deleted, and its
columns are loaded again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.sql import quoted, string

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.store import Store

_LAYOUT = 1
"""Of the files; those of another layout are not read."""
_MOST_BYTES = 4 << 30
"""Bytes of all files of a database; the ones used longest ago go first."""
_KEEP = 4
"""Versions of one table that are kept."""
_UNREADABLE = ("Corrupt database file", "Could not read", "IO Error", "Serialization")
_LEFT_OVER = 3600.0
"""Seconds after which a file that was not finished is that of a process that was killed."""


@dataclass(eq=False)
class HotFile:
    """A file that is attached."""

    path: Path
    alias: str
    """The name that it is attached under."""
    version: int
    """The version of the table that it holds."""
    columns: dict[str, str]
    """Column to the source of its values: of the table's own it is empty, see `Sources`."""

    @property
    def table(self) -> str:
        """The table of the rows, as SQL."""
        return f"{quoted(self.alias)}.t"


def folder_of(store: Store) -> Path | None:
    """Return the folder of the files; None where it cannot be made."""
    try:
        folder = store.cache_dir.resolve() / "hot"
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder


class HotFiles:
    """The files of one database.

    Args:
        store: the database.
        connection: a DuckDB connection that may read and write in `folder_of(store)`.
    """

    def __init__(self, store: Store, connection: DuckDBPyConnection) -> None:
        import duckdb

        self._store = store
        self._connection = connection
        self._folder = folder_of(store)
        self.error = duckdb.Error
        # Another version of DuckDB may not read them, and has files of its own.
        self._ending = f"-{duckdb.__version__}.{_LAYOUT}.duckdb"
        self._opened = 0

    def open(self, table: str, version: int) -> HotFile | None:
        """Attach the file of a version; None where there is none that can be read."""
        stamp = self._store.stamp(table, version)
        return None if stamp is None else self._first(self._files(f"{table}@{version}-{stamp}"))

    def open_earlier(self, table: str, version: int) -> Iterator[HotFile]:
        """Attach the files of the versions before one, the latest first, as far as it is asked."""
        earlier = [p for p in self._files(f"{table}@") if 0 < _number(p) < version]
        for path in sorted(earlier, key=_number, reverse=True):
            stamp = self._store.stamp(table, _number(path))
            is_of_it = path.name.startswith(f"{table}@{_number(path)}-{stamp}-")
            if is_of_it and (file := self._first([path])) is not None:
                yield file

    def _first(self, paths: list[Path]) -> HotFile | None:
        for path in paths:
            file = None
            with contextlib.suppress(self.error):
                file = self._attach(path)
            if file is not None:
                return file
            self.remove(path)
        return None

    def _attach(self, path: Path) -> HotFile | None:
        self._opened += 1
        alias = f"hot{self._opened}"
        cursor = self._connection.cursor()
        try:
            cursor.execute(f"ATTACH {string(str(path))} AS {alias} (READ_ONLY)")
            columns = dict(cursor.execute(f"SELECT * FROM {alias}.sources").fetchall())
            shown = cursor.execute(f"DESCRIBE {alias}.t").fetchall()
        finally:
            cursor.close()
        if {str(row[0]) for row in shown} != set(columns):
            return None  # somebody else wrote it
        with contextlib.suppress(OSError):
            os.utime(path)  # it is used
        return HotFile(path, alias, _number(path), columns)

    def write(
        self, table: str, version: int, rows: str, sources: Mapping[str, str]
    ) -> HotFile | None:
        """Write the columns of a version to a file, and attach it.

        Args:
            table: its name.
            version: of the table.
            rows: SQL of the rows in stored order, with the columns of `sources`.
            sources: see `HotFile.columns`.

        Returns:
            The file; None where it cannot be written.
        """
        stamp = self._store.stamp(table, version)
        if stamp is None or self._folder is None:
            return None
        name = f"{table}@{version}-{stamp}-{time.time_ns():x}{self._ending}"
        scratch = self._folder / f".new-{os.getpid()}-{name}"
        alias = quoted(scratch.name)
        try:
            cursor = self._connection.cursor()
            cursor.execute(f"ATTACH {string(str(scratch))} AS {alias}")
            try:
                cursor.execute(f"CREATE TABLE {alias}.t AS {rows}")
                cursor.execute(f"CREATE TABLE {alias}.sources (name VARCHAR, source VARCHAR)")
                cursor.executemany(
                    f"INSERT INTO {alias}.sources VALUES (?, ?)", list(map(list, sources.items()))
                )
                cursor.execute(f"CHECKPOINT {alias}")
            finally:
                cursor.execute(f"DETACH {alias}")
                cursor.close()
            os.rename(scratch, self._folder / name)
        except (self.error, OSError):  # a full disk, say; the columns are in memory
            return None
        finally:
            self.remove(scratch)
        self._trim(table, keep=self._folder / name)
        return self._first([self._folder / name])

    def age(self, table: str) -> float:
        """Return the seconds since a file of any version of a table was written."""
        written = [int(path.name.rsplit("-", 2)[1], 16) for path in self._files(f"{table}@")]
        return time.time() - max(written, default=0) / 1e9

    def close(self, file: HotFile) -> None:
        """Detach a file, unless a query is at it."""
        cursor = self._connection.cursor()
        with contextlib.suppress(self.error):
            cursor.execute(f"DETACH {quoted(file.alias)}")
        cursor.close()

    def is_unreadable(self, error: Exception) -> bool:
        """Return whether an error is that of a file that was cut, overwritten or taken away."""
        cause = error if isinstance(error, self.error) else error.__cause__
        return isinstance(cause, self.error) and any(word in str(cause) for word in _UNREADABLE)

    def remove(self, path: Path) -> None:
        """Delete a file; who has it open can go on reading."""
        for file in (path, path.with_name(f"{path.name}.wal")):
            with contextlib.suppress(OSError):
                file.unlink()

    def _files(self, start: str) -> list[Path]:
        """Return the files whose names start so, the newest first."""
        if self._folder is None:
            return []
        try:
            names = [n for n in os.listdir(self._folder) if n.endswith(self._ending)]
        except OSError:
            return []
        mine = [self._folder / name for name in names if name.startswith(start)]
        return sorted(mine, key=lambda path: path.name.rsplit("-", 2)[1], reverse=True)

    def _trim(self, table: str, keep: Path) -> None:
        """Delete what is left over, what another file replaces, and what is too much."""
        assert self._folder is not None
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._folder):
                is_scratch = entry.name.startswith(".new-")
                if is_scratch and time.time() - entry.stat().st_mtime > _LEFT_OVER:
                    self.remove(Path(entry.path))
        content = keep.name.rsplit("-", 2)[0]
        mine = [path for path in self._files(f"{table}@") if path != keep]
        for path in mine:
            if path.name.rsplit("-", 2)[0] == content:
                self.remove(path)
        for path in sorted(mine, key=_number, reverse=True)[_KEEP - 1 :]:
            self.remove(path)
        total = 0
        for path in sorted(self._folder.glob("*.duckdb"), key=_used, reverse=True):
            total += _size(path)
            if total > _MOST_BYTES and path != keep:
                self.remove(path)


def _number(path: Path) -> int:
    """Return the version in the name of a file, -1 where it has none."""
    number = path.name.rpartition("@")[2].partition("-")[0]
    return int(number) if number.isdigit() else -1


def _used(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
