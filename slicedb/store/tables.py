"""Open or create one database, make it durable, and describe it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from slicedb.errors import (
    DatabaseError,
    DatabaseNotFoundError,
    FormatError,
    SourceError,
    UnknownTableError,
)
from slicedb.schema import FORMAT, SAMPLES, SAMPLES_SCHEMA, Row, spoken
from slicedb.show.numbers import count
from slicedb.sources import files_of
from slicedb.store import absent, upkeep
from slicedb.store.door import passing
from slicedb.store.dropped import put_aside
from slicedb.store.files import sync_folder
from slicedb.store.gone import as_database_error
from slicedb.store.writing import Writer

if TYPE_CHECKING:
    from lancedb.db import DBConnection

_FORMAT_KEY = "slicedb:format"
COPY_OF = "slicedb:copy_of"
"""Where the metadata of a copied table name the other."""
_COPIED = 1 << 16
"""Rows that are copied at a time."""
_MARGIN = 2.0
"""Seconds by which the clock of a file system may be behind ours."""
_FIRST = f"{SAMPLES}.lance"
"""What an interrupted creation of a database leaves behind, without a version."""


class Store(Writer):
    """The tables of one database.

    Handles are opened on demand and safe to share between threads. Never fork after a read: Lance
    does not survive it; use threads, or spawned workers that open their own store.
    """

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        storage_options: Mapping[str, str] | None = None,
    ) -> Store:
        """Open a database, and create it when it is missing.

        Args:
            path: a directory, or an object-store URI such as `s3://bucket/food.slicedb`.
            create: False refuses to create.
            storage_options: settings of the object store, in the words of `object_store`; kept
                for this process.

        Raises:
            DatabaseNotFoundError: there is none and `create` is False.
            DatabaseError: the path is a file, a folder with other things in it, or an address that
                cannot be reached.
            FormatError: it was written by a newer SliceDB.
        """
        text = os.fspath(path)
        if text.lower().startswith(("http://", "https://")):
            raise DatabaseError(
                f"A database cannot lie on a web server: '{text}'.",
                "give a folder, or s3://, gs:// or az://; of a store that speaks S3, its address "
                "is a setting (storage_options={'endpoint': ...}, --storage-option endpoint=...).",
            )
        try:
            files = files_of(text, storage_options)
            store = cls(files.root, files)
            there = None if files.is_local else files.kind()  # gives up quickly
            is_known = store.has(SAMPLES) if there != "file" else False
        except SourceError as error:
            raise as_database_error(error) from error
        if is_known:
            store._check_format()
        elif not create:
            raise DatabaseNotFoundError(
                f"No database at '{text}'.",
                f"`slicedb --db {text} ingest FOLDER` makes one; `--db` or SLICEDB_DB names it.",
            )
        else:
            store._initialise()
        return store

    def _initialise(self) -> None:
        kind = self.files.kind()
        if kind == "file":
            raise DatabaseError(f"'{self.path}' is a file.", "name a directory for the database.")
        if kind == "folder" and any(
            not name.startswith(".") and name != _FIRST for name in self.files.names()
        ):
            if self.names():
                raise DatabaseError(
                    f"The table '{SAMPLES}' of '{self.path}' is lost; there are "
                    f"{', '.join(self.names())}.",
                    f"bring the folder {SAMPLES}.lance back from a backup.",
                )
            raise DatabaseError(
                f"'{self.path}' is not a SliceDB database and not empty.",
                "name a new directory, for example 'data.slicedb'.",
            )
        try:
            self.files.make()
        except SourceError as error:
            raise as_database_error(error) from error
        self.create(SAMPLES, SAMPLES_SCHEMA.with_metadata({_FORMAT_KEY: str(FORMAT)}))

    def _check_format(self) -> None:
        number = self.metadata(SAMPLES).get(_FORMAT_KEY)
        if number is None:
            raise DatabaseError(
                f"'{self.path}' has a table named samples but is not a SliceDB database.",
                "name another directory.",
            )
        if int(number) > FORMAT:
            raise FormatError(
                f"'{self.path}' has format {number}; this SliceDB reads up to {FORMAT}.",
                "upgrade with `pip install --upgrade slicedb`; nothing was changed.",
            )

    def sync(self) -> None:
        """Flush what was written since the last call to the disk (fsync), with its checksums."""
        if not self.is_local:
            return
        started = time.time()
        for name in sorted(self._dirty):
            sync_folder(self._uri(name), self._synced - 1, self._settled)
            with contextlib.suppress(OSError, UnknownTableError):  # then `doctor --deep` lists them
                self.checksums.record(name, self.dataset(name), self._since - _MARGIN)
        self._dirty.clear()
        self._synced = started

    def restore(self, name: str, version: int | None) -> None:
        """Bring a table back to a version, as a new version; None empties and hides it."""

        def write() -> None:
            if version is None:
                self.dataset(name).delete("true")
            else:
                self.dataset(name, version).restore()

        if version is None:  # hidden first: one that is cut off here is gone for everybody
            absent.mark(self.files, name)
        else:
            absent.unmark(self.files, name)
        self.attempt(name, write, "restore")
        if version is None:
            with self._lock:
                self._handles.pop(name, None)

    def copy(self, name: str, new: str) -> None:
        """Create a table with the columns, metadata and rows of another; an existing one goes.

        Its metadata says what it is a copy of, so that an interrupted copy is known for one, until
        `set_metadata(new, {COPY_OF: ""})` says that it stands for itself.
        """
        if self.has(new):
            self.discard(new)
        schema = self.schema(name)
        metadata = {**(schema.metadata or {}), COPY_OF.encode(): name.encode()}
        self.create(new, schema.with_metadata(metadata))
        for batch in self.scan(name, batch_size=_COPIED):
            self.append(new, batch)
        self.tend(new)

    def discard(self, name: str) -> None:
        """Delete a table; what commits and frozen slices keep of it comes back with them."""
        if self.pins(name):
            self.restore(name, None)
        else:
            self.drop(name)

    def drop(self, name: str) -> None:
        """Delete a table and all its versions.

        A table created again under the name continues the version numbers. On object stores they
        start again, and a process may take what it has cached of the old table for the new one.

        Raises:
            DatabaseError: commits or frozen slices keep versions of it.
        """
        pins = sorted(self.pins(name))
        if pins:
            shown = ", ".join(pins[:3]) + (" ..." if len(pins) > 3 else "")
            raise DatabaseError(
                f"Table '{spoken(name)}' is kept by {count(len(pins), 'commit')} or frozen "
                f"slices: {shown}.",
                "use another name, or let go of them (`slicedb versions drop`, `slice thaw`).",
            )
        with self._lock:
            self._handles.pop(name, None)
        absent.unmark(self.files, name)
        with passing("drop", name):
            if self.is_local:
                put_aside(self._root, name)
                self.checksums.forget(name)
            else:
                self.files.remove_folder(f"{name}.lance")

    def cleanup(self, older_than: timedelta = timedelta(days=14), *, dry_run: bool = False) -> int:
        """Remove versions older than that and not pinned; returns the bytes freed.

        Args:
            older_than: an age; the newest version always stays.
            dry_run: only return how many bytes would be freed.
        """
        there = self.names()
        freed = 0
        for name in self.names(absent=True):
            freed += self.attempt(name, partial(self._cleanup, name, older_than, dry_run))
            if name not in there and not dry_run and not self.pins(name):
                self.drop(name)
            elif self.is_local and not dry_run:
                self.checksums.prune(name)
        return freed

    def _cleanup(self, name: str, older_than: timedelta, dry_run: bool) -> int:
        return upkeep.remove_versions(self.dataset(name), older_than, dry_run=dry_run)

    def stray_files(self, name: str, *, remove: bool = False) -> int:
        """Return how many files of a table no version names; those of the last week are left."""
        return upkeep.stray_files(self.dataset(name), remove=remove)

    def describe(self) -> list[Row]:
        """Return one row per table: rows, fragments, deleted rows, version, versions, bytes.

        `kept` counts versions that commits and frozen slices pin; `now` is what the newest
        version needs of the `bytes` that are stored.

        Raises:
            DatabaseError: the bucket cannot be listed.
        """
        rows = []
        try:
            sizes = self.files.sizes()
        except SourceError as error:
            raise as_database_error(error) from error
        for name in self.names():
            try:
                with self._reading(name):
                    state: Row = upkeep.state_of(self.dataset(name))
            except DatabaseError:  # damaged, which the doctor reports
                state = dict.fromkeys(upkeep.STATE)
            now = state.pop("now")
            size = sizes.get(f"{name}.lance", 0)
            rows.append({"table": name, **state, "bytes": size, "now": now})
        return rows

    @cached_property
    def lancedb(self) -> DBConnection:
        """A live connection of LanceDB to the same tables.

        What either side writes the other sees at its next read. On object stores both have the
        same settings.
        """
        import lancedb

        return lancedb.connect(
            self.path,
            read_consistency_interval=timedelta(0),
            storage_options=self.files.options,
        )

    def __repr__(self) -> str:
        return f"Store({self.path!r})"
