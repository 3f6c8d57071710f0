"""Writing: appends, upserts, retries; and upkeep: compaction, fsync, pins, cleanup."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from slicedb.errors import (
    ConflictError,
    DatabaseError,
    DatabaseNotFoundError,
    FormatError,
    did_you_mean,
)
from slicedb.schema import FORMAT, IMAGES, SAMPLES, SAMPLES_SCHEMA
from slicedb.store.dropped import LAYOUT, make_anew, put_aside
from slicedb.store.files import filesystem, first_sentence, folder_bytes, sync_folder
from slicedb.store.reading import Reader

Batches: TypeAlias = pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch]

_FORMAT_KEY = "slicedb:format"
_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
_FIRST = f"{SAMPLES}.lance"
"""What is there, without a version, where the making of a database was cut off."""
_COMPACT_AT = 100
_INDEX_AT = 20_000
_RETRIES = 12
_ROWS_TOGETHER = 1 << 20
_IMAGES_TOGETHER = 1 << 15  # a merged fragment of pixels is never rewritten by the next merge
_ROOM = "check the free space and the permissions; what was committed is safe."
_T = TypeVar("_T")


class Store(Reader):
    """The tables of one database.

    Handles are opened on demand and safe to share between threads. Never fork after a read: Lance
    does not survive it; use threads, or spawned workers that open their own store.
    """

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = True) -> Store:
        """Open a database, and create it when it is missing.

        Args:
            path: a directory, or an object-store URI such as `s3://bucket/food.slicedb`.
            create: False refuses to create.

        Raises:
            DatabaseNotFoundError: there is none and `create` is False.
            DatabaseError: the path is a file, or a folder with other things in it.
            FormatError: it was written by a newer SliceDB.
        """
        text = os.fspath(path)
        fs, root = filesystem(text)
        store = cls(text if "://" in text else root, fs, root)
        if store.has(SAMPLES):
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
        info = self._fs.get_file_info(self._root)
        if info.type == pafs.FileType.File:
            raise DatabaseError(f"'{self.path}' is a file.", "name a directory for the database.")
        if info.type == pafs.FileType.Directory and any(
            not Path(entry.path).name.startswith(".") and Path(entry.path).name != _FIRST
            for entry in self._entries()
        ):
            raise DatabaseError(
                f"'{self.path}' is not a SliceDB database and not empty.",
                "name a new directory, for example 'data.slicedb'.",
            )
        self._fs.create_dir(self._root, recursive=True)
        self.create(SAMPLES, SAMPLES_SCHEMA.with_metadata({_FORMAT_KEY: str(FORMAT)}))

    def _check_format(self) -> None:
        found = self.metadata(SAMPLES).get(_FORMAT_KEY)
        if found is None:
            raise DatabaseError(
                f"'{self.path}' has a table named samples but is not a SliceDB database.",
                "name another directory.",
            )
        if int(found) > FORMAT:
            raise FormatError(
                f"'{self.path}' has format {found}; this SliceDB reads up to {FORMAT}.",
                "upgrade with `pip install --upgrade slicedb`; nothing was changed.",
            )

    # --- writing ------------------------------------------------------------------------------

    def create(self, name: str, schema: pa.Schema) -> None:
        """Create an empty table; one that is there already is left as it is."""
        import lance

        declared = pa.schema(
            [
                field.with_nullable(False).with_metadata(_PRIMARY_KEY)
                if field.name == "id"
                else field
                for field in schema
            ],
            metadata=schema.metadata,
        )
        empty = declared.empty_table()
        try:
            if not (self.is_local and make_anew(self._root, name, empty)):
                lance.write_dataset(empty, self._uri(name), mode="create", **LAYOUT)
        except OSError as error:
            if "already exists" not in str(error):
                if self.is_local and not self.has(name):  # LanceDB would list what is left of it
                    shutil.rmtree(self._uri(name), ignore_errors=True)
                raise DatabaseError(
                    f"Cannot create table '{name}': {first_sentence(error)}", _ROOM
                ) from error
        self._dirty.add(name)

    def append(self, name: str, batches: Batches) -> int:
        """Add rows whose ids are known to be new; returns the version written.

        Columns that are left out become null.
        """
        import lance

        reader = self._reader(name, batches)

        def write() -> int:
            written = lance.write_dataset(reader(), self._uri(name), mode="append")
            return int(written.version)

        version = self._commit(name, write)
        self._tend(name)
        return version

    def upsert(
        self,
        name: str,
        batches: Batches,
        *,
        insert: bool = True,
        expected_version: int | None = None,
    ) -> int:
        """Update the rows whose `id` is there and insert the others; returns the version.

        Args:
            name: the table.
            batches: rows with all columns, or with `id` and a subset when `insert` is False.
            insert: False leaves out rows whose id is not there.
            expected_version: the version the rows were computed from; a table that has moved
                on since is refused instead of overwritten.

        Raises:
            ConflictError: the table moved on, or other writers kept winning.
        """
        reader = self._reader(name, batches)

        def write() -> int:
            dataset = self.dataset(name)
            if expected_version is not None and dataset.version != expected_version:
                raise ConflictError(
                    f"Table '{name}' is at version {dataset.version}, these rows were computed "
                    f"from version {expected_version}.",
                    "read it again and repeat the change; nothing was written.",
                )
            merge = dataset.merge_insert("id").when_matched_update_all()
            if insert:
                merge = merge.when_not_matched_insert_all()
            merge.execute(reader())
            return self.version(name)

        version = self._commit(name, write)
        self._tend(name)
        return version

    def delete(self, name: str, ids: Sequence[str]) -> int:
        """Delete the rows of these ids; returns the version written."""
        for start in range(0, len(ids), 1000):
            quoted = ", ".join("'" + i.replace("'", "''") + "'" for i in ids[start : start + 1000])
            self._commit(name, partial(self._delete, name, f"id IN ({quoted})"))
        return self.version(name)

    def restore(self, name: str, version: int | None) -> None:
        """Make a table what it was at a version, as a new version; None empties it."""

        def write() -> None:
            if version is None:
                self.dataset(name).delete("true")
            else:
                self.dataset(name, version).restore()

        self._commit(name, write)

    def _delete(self, name: str, where: str) -> None:
        self.dataset(name).delete(where)

    def drop(self, name: str) -> None:
        """Delete a table and all its versions.

        A table made anew under the name goes on with the numbers of its versions (on object
        stores they start again: what a process keeps in memory of the old one is taken for it).

        Raises:
            DatabaseError: commits or frozen slices keep versions of it.
        """
        kept = sorted(self.pins(name))
        if kept:
            shown = ", ".join(kept[:3]) + (" ..." if len(kept) > 3 else "")
            raise DatabaseError(
                f"Table '{name}' is kept by {len(kept)} commits or frozen slices: {shown}.",
                "use another name, or let go of them (`slicedb versions drop`, `slice thaw`).",
            )
        with self._lock:
            self._handles.pop(name, None)
        if self.is_local:
            put_aside(self._root, name)
        else:
            self._fs.delete_dir(f"{self._root}/{name}.lance")

    def add_columns(self, name: str, fields: Sequence[pa.Field]) -> None:
        """Add columns, null in every row; those that are there already are left alone."""

        def write() -> None:
            dataset = self.dataset(name)
            new = [field for field in fields if field.name not in dataset.schema.names]
            if new:
                dataset.add_columns(new)

        self._commit(name, write)

    def set_metadata(self, name: str, values: dict[str, str]) -> None:
        """Store text with a table's schema; a version of its own."""
        self._commit(name, lambda: self.dataset(name).update_schema_metadata(values))

    def change_metadata(self, name: str, key: str, change: Callable[[str | None], str]) -> None:
        """Store text that depends on what is there, without losing what others write meanwhile.

        Args:
            name: the table.
            key: of the text.
            change: gives the new text from the present one, None where there is none; called
                again when another writer was faster.
        """

        def write() -> None:
            dataset = self.dataset(name)
            said = (dataset.schema.metadata or {}).get(key.encode())
            dataset.update_schema_metadata({key: change(None if said is None else said.decode())})

        self._commit(name, write)

    def _reader(self, name: str, batches: Batches) -> Callable[[], pa.RecordBatchReader]:
        """Return a function that gives the rows anew for every try."""
        if isinstance(batches, pa.RecordBatch):
            table = pa.Table.from_batches([batches])
        elif isinstance(batches, pa.Table):
            table = batches
        else:
            listed: list[Any] = list(batches)
            table = pa.Table.from_batches(listed) if listed else self.schema(name).empty_table()
        schema = self.schema(name)
        fields = []
        for column in table.schema:
            if column.name not in schema.names:
                raise DatabaseError(
                    f"Table '{name}' has no column '{column.name}'.",
                    did_you_mean(column.name, schema.names, "columns"),
                )
            fields.append(schema.field(column.name))
        try:
            table = table.cast(pa.schema(fields, metadata=schema.metadata))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise DatabaseError(
                f"Rows do not fit table '{name}': {first_sentence(error)}"
            ) from error
        return lambda: table.to_reader()

    def _commit(self, name: str, write: Callable[[], _T]) -> _T:
        """Run a write, retry it on a commit conflict, and translate what Lance raises."""
        for attempt in range(_RETRIES):
            try:
                result = write()
                self._dirty.add(name)
                return result
            except (OSError, ValueError, RuntimeError) as error:
                if isinstance(error, DatabaseError):
                    raise
                if not _is_conflict(error):
                    raise DatabaseError(
                        f"Writing table '{name}' failed: {first_sentence(error)}",
                        _ROOM,
                    ) from error
                last = error
                time.sleep(min(0.02 * 2**attempt, 1.0) * (0.5 + os.urandom(1)[0] / 256))
        raise ConflictError(
            f"Table '{name}' was changed by another writer {_RETRIES} times in a row: "
            f"{first_sentence(last)}",
            "run the command again; nothing of this batch was written.",
        ) from last

    # --- upkeep -------------------------------------------------------------------------------

    def _tend(self, name: str) -> None:
        dataset = self.dataset(name)
        if len(dataset.fragment_ids()) >= _COMPACT_AT:
            with contextlib.suppress(ConflictError):
                self.compact(name)

    def compact(self, name: str) -> None:
        """Merge small fragments, and bring the index on `id` up to date."""

        def write() -> None:
            dataset = self.dataset(name)
            dataset.optimize.compact_files(
                target_rows_per_fragment=_IMAGES_TOGETHER if name == IMAGES else _ROWS_TOGETHER
            )
            dataset = self.dataset(name)
            if "id" not in dataset.schema.names or dataset.count_rows() < _INDEX_AT:
                return
            if any(index.field_names == ["id"] for index in dataset.describe_indices()):
                dataset.optimize.optimize_indices()
            else:
                dataset.create_scalar_index("id", "BTREE")

        self._commit(name, write)

    def sync(self) -> None:
        """Ask the disk to keep what was written since the last call (fsync)."""
        if not self.is_local:
            return
        started = time.time()
        for name in sorted(self._dirty):
            sync_folder(self._uri(name), self._synced - 1)
        self._dirty.clear()
        self._synced = started

    def pin(self, name: str, version: int, tag: str) -> None:
        """Keep a version through every cleanup, under a tag (letters, digits, `_`, `-`, `.`)."""
        tags = self.dataset(name).tags
        if tag not in tags.list():
            self._commit(name, lambda: tags.create(tag, version))

    def unpin(self, name: str, tag: str) -> None:
        """Let a pinned version go; a tag that is not there is left alone."""
        tags = self.dataset(name).tags
        if tag in tags.list():
            tags.delete(tag)

    def pins(self, name: str, older_than: timedelta | None = None) -> dict[str, int]:
        """Return the pinned versions of a table, by tag; only those made so long ago, if given."""
        before = None if older_than is None else datetime.now(UTC) - older_than
        return {
            tag: int(about["version"])
            for tag, about in self.dataset(name).tags.list().items()
            if before is None or about["created_at"] is None or about["created_at"] < before
        }

    def cleanup(self, older_than: timedelta = timedelta(days=14), *, dry_run: bool = False) -> int:
        """Remove versions older than that and not pinned; returns the bytes given back.

        Args:
            older_than: an age; the newest version always stays.
            dry_run: only say how many bytes there are to give back.
        """
        removed = 0
        for name in self.names():
            removed += self._commit(name, partial(self._cleanup, name, older_than, dry_run))
        return removed

    def _cleanup(self, name: str, older_than: timedelta, dry_run: bool) -> int:
        dataset = self.dataset(name)
        if dry_run:
            found = dataset.explain_cleanup_old_versions(
                older_than=older_than, error_if_tagged_old_versions=False
            )
            return int(found.stats.bytes_removed)
        stats = dataset.cleanup_old_versions(
            older_than=older_than, error_if_tagged_old_versions=False
        )
        return int(stats.bytes_removed)

    def stray_files(self, name: str, *, remove: bool = False) -> int:
        """Return how many files of a table no version names; those of the last week are left.

        A writer that was killed leaves them behind.
        """
        dataset = self.dataset(name)
        age = timedelta(days=36_500)  # older than any version, so that none goes
        found = dataset.explain_cleanup_old_versions(
            older_than=age, error_if_tagged_old_versions=False
        )
        n = int(found.stats.data_files_removed + found.stats.deletion_files_removed)
        if n and remove:
            dataset.cleanup_old_versions(older_than=age, error_if_tagged_old_versions=False)
        return n

    def describe(self) -> list[dict[str, Any]]:
        """Return one row a table: rows, fragments, deleted rows, version, versions, bytes.

        `kept` counts versions that commits and frozen slices pin; `now` is what the newest
        version needs of the `bytes` on disk (both null on object stores).
        """
        rows = []
        for name in self.names():
            dataset = self.dataset(name)
            fragments = dataset.get_fragments()
            stored = sum(f.physical_rows for f in fragments)
            files = (file.file_size_bytes or 0 for f in fragments for file in f.data_files())
            count = dataset.count_rows()
            rows.append(
                {
                    "table": name,
                    "rows": count,
                    "fragments": len(fragments),
                    "deleted": stored - count,
                    "version": int(dataset.version),
                    "versions": len(dataset.versions()),
                    "kept": len(set(self.pins(name).values())),
                    "bytes": folder_bytes(self._uri(name)) if self.is_local else None,
                    "now": sum(files) if self.is_local else None,
                }
            )
        return rows

    def __repr__(self) -> str:
        return f"Store({self.path!r})"


def _is_conflict(error: Exception) -> bool:
    text = str(error).lower()
    return "conflict" in text or "concurrent" in text or "preempted" in text
