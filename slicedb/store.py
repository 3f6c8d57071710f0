"""The one door to Lance: tables, versions, retries, compaction, pins.

A database is a directory (or an object-store URI) with one Lance table a `<name>.lance` folder,
which is also what LanceDB lists and opens. Every write goes through here, so that every table has
stable row ids, a declared primary key on `id`, and the same answer to a commit conflict.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs

from slicedb.errors import (
    ConflictError,
    DatabaseError,
    DatabaseNotFoundError,
    FormatError,
    UnknownSampleError,
    UnknownTableError,
    did_you_mean,
)
from slicedb.schema import FORMAT, IMAGES, SAMPLES, SAMPLES_SCHEMA

Batches: TypeAlias = pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch]

_FORMAT_KEY = "slicedb:format"
_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
_COMPACT_AT = 100
_INDEX_AT = 20_000
_RETRIES = 12
_IMAGE_CHUNK = 256
_T = TypeVar("_T")


class Store:
    """The tables of one database.

    Handles are opened on demand and safe to share between threads. Never fork after a read: Lance
    does not survive it; use threads, or spawned workers that open their own store.
    """

    def __init__(self, path: str, fs: pafs.FileSystem, root: str) -> None:
        self.path = path
        self._fs = fs
        self._root = root
        self._lock = threading.RLock()
        self._handles: dict[str, Any] = {}
        self._positions: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self._synced = 0.0
        self._dirty: set[str] = set()

    # --- the database -------------------------------------------------------------------------

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
        fs, root = _filesystem(text)
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
            not Path(entry.path).name.startswith(".") for entry in self._entries()
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

    @property
    def is_local(self) -> bool:
        """Whether the database lies on this machine's file system."""
        return isinstance(self._fs, pafs.LocalFileSystem)

    @property
    def cache_dir(self) -> Path:
        """A local folder for what can be computed again; it may be deleted at any time."""
        if self.is_local:
            cache = Path(self._root) / ".cache"
        else:
            digest = hashlib.sha256(self.path.encode()).hexdigest()[:16]
            cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
            cache = cache / "slicedb" / digest
        cache.mkdir(parents=True, exist_ok=True)
        return cache

    def _entries(self) -> list[pafs.FileInfo]:
        selector = pafs.FileSelector(self._root, allow_not_found=True)
        return list(self._fs.get_file_info(selector))

    def names(self) -> list[str]:
        """Return the names of all tables, sorted."""
        found = (Path(entry.path).name for entry in self._entries())
        return sorted(name.removesuffix(".lance") for name in found if name.endswith(".lance"))

    def has(self, name: str) -> bool:
        """Return whether there is a table of that name."""
        if name in self._handles:
            return True
        info = self._fs.get_file_info(f"{self._root}/{name}.lance/_versions")
        return bool(info.type == pafs.FileType.Directory) or (
            not self.is_local and name in self.names()
        )

    # --- reading ------------------------------------------------------------------------------

    def _uri(self, name: str) -> str:
        base = self._root if self.is_local else self.path.rstrip("/")
        return f"{base}/{name}.lance"

    def dataset(self, name: str, version: int | None = None) -> Any:
        """Return the `lance.LanceDataset` at its latest, or at the given, version.

        Raises:
            UnknownTableError: there is no such table.
            DatabaseError: there is no such version.
        """
        import lance

        with self._lock:
            handle = self._handles.get(name)
            if handle is None:
                if not self.has(name):
                    raise UnknownTableError(
                        f"No table '{name}' in '{self.path}'.",
                        did_you_mean(name, self.names(), "tables"),
                    )
                handle = self._handles[name] = lance.dataset(self._uri(name))
            else:
                try:
                    handle.checkout_latest()
                except (OSError, ValueError) as error:
                    del self._handles[name]
                    raise UnknownTableError(f"Table '{name}' is gone: {_short(error)}") from error
            if version is None or version == handle.version:
                # a handle of its own, so that no other thread moves it under a running scan
                return handle.checkout_version(handle.version)
            try:
                return handle.checkout_version(version)
            except (OSError, ValueError) as error:
                raise DatabaseError(
                    f"Table '{name}' has no version {version}: {_short(error)}",
                    "it may have been cleaned up; commits and frozen slices pin theirs.",
                ) from error

    def version(self, name: str) -> int:
        """Return the latest version number of a table."""
        return int(self.dataset(name).version)

    def versions(self) -> dict[str, int]:
        """Return the latest version of every table, by name."""
        return {name: self.version(name) for name in self.names()}

    def count(self, name: str, version: int | None = None) -> int:
        """Return the number of rows."""
        return int(self.dataset(name, version).count_rows())

    def schema(self, name: str, version: int | None = None) -> pa.Schema:
        """Return the Arrow schema, with its metadata."""
        return self.dataset(name, version).schema

    def metadata(self, name: str, version: int | None = None) -> dict[str, str]:
        """Return the metadata stored with a table's schema."""
        raw = self.schema(name, version).metadata or {}
        return {key.decode(): value.decode() for key, value in raw.items()}

    def scan(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        version: int | None = None,
        batch_size: int = 4096,
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches in stored order.

        Args:
            name: the table.
            columns: projection; None reads all.
            where: a Lance filter. For keys and ids only: users' predicates are DuckDB's.
            version: a version number; None is the latest.
            batch_size: rows a batch, which bounds the memory.
        """
        dataset = self.dataset(name, version)
        scanner = dataset.scanner(
            columns=None if columns is None else list(columns),
            filter=where,
            batch_size=batch_size,
            scan_in_order=True,
        )
        yield from scanner.to_batches()

    def table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Return the rows as one Arrow table, in stored order."""
        dataset = self.dataset(name, version)
        wanted = None if columns is None else list(columns)
        return dataset.scanner(columns=wanted, filter=where, scan_in_order=True).to_table()

    def positions(self, name: str, keys: np.ndarray, version: int | None = None) -> np.ndarray:
        """Return the row offset of each key in stored order, -1 where there is no such row.

        Args:
            name: the table.
            keys: int64 (n,).
            version: a version number; None is the latest.

        Returns:
            int64 (n,).
        """
        dataset = self.dataset(name, version)
        slot = (name, int(dataset.version))
        with self._lock:
            found = self._positions.get(slot)
        if found is None:
            column = dataset.scanner(columns=["key"], scan_in_order=True).to_table()["key"]
            stored = column.to_numpy()
            order = np.argsort(stored, kind="stable")
            found = (stored[order], order)
            with self._lock:
                for old in [s for s in self._positions if s[0] == name]:
                    del self._positions[old]
                self._positions[slot] = found
        ordered, order = found
        keys = np.asarray(keys, dtype=np.int64)
        if not len(ordered):
            return np.full(len(keys), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
        return np.where(ordered[at] == keys, order[at], -1)

    def take(
        self,
        name: str,
        keys: np.ndarray,
        columns: Sequence[str] | None = None,
        *,
        version: int | None = None,
    ) -> pa.Table:
        """Return the rows of `keys`, in their order.

        Raises:
            UnknownSampleError: a key has no row.
        """
        dataset = self.dataset(name, version)
        at = self.positions(name, keys, int(dataset.version))
        if len(at) and at.min() < 0:
            missing = np.asarray(keys)[at < 0]
            raise UnknownSampleError(
                f"{len(missing):,} of {len(at):,} keys have no row in '{name}', "
                f"the first is {int(missing[0])}."
            )
        wanted = None if columns is None else list(columns)
        if not len(at):
            return dataset.scanner(columns=wanted, limit=0).to_table()
        return dataset.take(at.tolist(), columns=wanted)

    def read_images(
        self, keys: np.ndarray, *, version: int | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield `(key, encoded bytes)` in the order of `keys`.

        Bytes come from the `images` table, or from the sample's `uri` when it was ingested by
        reference. A file that cannot be read yields empty bytes, which no decoder accepts, so
        that one lost picture costs one row.

        Args:
            keys: int64 (n,). Stored order (`positions` sorted) reads fastest.
            version: a version of `images`; None is the latest.
        """
        keys = np.asarray(keys, dtype=np.int64)
        stored = self.has(IMAGES)
        for start in range(0, len(keys), _IMAGE_CHUNK):
            chunk = keys[start : start + _IMAGE_CHUNK]
            at = self.positions(IMAGES, chunk, version) if stored else np.full(len(chunk), -1)
            found: dict[int, bytes] = {}
            inside = chunk[at >= 0]
            if len(inside):
                table = self.take(IMAGES, inside, ["image"], version=version)
                found = dict(zip(inside.tolist(), table["image"].to_pylist()))
            lost = [key for key in chunk.tolist() if found.get(key) is None]
            if lost:
                uris = self.take(SAMPLES, np.array(lost), ["uri"])["uri"].to_pylist()
                found.update(zip(lost, map(_read_uri, uris)))
            for key in chunk.tolist():
                yield key, found[key]

    def arrow_dataset(self, name: str, version: int | None = None) -> pads.Dataset:
        """Return a table as a `pyarrow.dataset.Dataset` that DuckDB can register."""
        return _ArrowView(self.dataset(name, version))

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
        try:
            lance.write_dataset(
                declared.empty_table(),
                self._uri(name),
                mode="create",
                enable_stable_row_ids=True,
                data_storage_version="2.2",
            )
        except OSError as error:
            if "already exists" not in str(error):
                raise DatabaseError(f"Cannot create table '{name}': {_short(error)}") from error
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

    def _delete(self, name: str, where: str) -> None:
        self.dataset(name).delete(where)

    def drop(self, name: str) -> None:
        """Delete a table and all its versions."""
        self.dataset(name)
        with self._lock:
            self._handles.pop(name, None)
        if self.is_local:
            shutil.rmtree(self._uri(name))
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
            raise DatabaseError(f"Rows do not fit table '{name}': {_short(error)}") from error
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
                        f"Writing table '{name}' failed: {_short(error)}",
                        "check the free space and the permissions; what was committed is safe.",
                    ) from error
                last = error
                time.sleep(min(0.02 * 2**attempt, 1.0) * (0.5 + os.urandom(1)[0] / 256))
        raise ConflictError(
            f"Table '{name}' was changed by another writer {_RETRIES} times in a row: "
            f"{_short(last)}",
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
            dataset.optimize.compact_files()
            dataset = self.dataset(name)
            if "id" not in dataset.schema.names or dataset.count_rows() < _INDEX_AT:
                return
            if any(index["fields"] == ["id"] for index in dataset.list_indices()):
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
            for folder, _, files in os.walk(self._uri(name)):
                fresh = [
                    path
                    for path in (os.path.join(folder, file) for file in files)
                    if _modified(path) >= self._synced - 1
                ]
                for path in [*fresh, folder] if fresh else []:
                    _fsync(path)
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

    def pins(self, name: str) -> dict[str, int]:
        """Return the pinned versions of a table, by tag."""
        return {t: int(about["version"]) for t, about in self.dataset(name).tags.list().items()}

    def cleanup(self, older_than: timedelta = timedelta(days=14)) -> int:
        """Remove versions older than that and not pinned; returns the bytes given back."""
        removed = 0
        for name in self.names():
            removed += self._commit(name, partial(self._cleanup, name, older_than))
        return removed

    def _cleanup(self, name: str, older_than: timedelta) -> int:
        stats = self.dataset(name).cleanup_old_versions(
            older_than=older_than, error_if_tagged_old_versions=False
        )
        return int(stats.bytes_removed)

    def describe(self) -> list[dict[str, Any]]:
        """Return one row a table: rows, fragments, version, bytes on disk (local only)."""
        rows = []
        for name in self.names():
            dataset = self.dataset(name)
            rows.append(
                {
                    "table": name,
                    "rows": dataset.count_rows(),
                    "fragments": len(dataset.fragment_ids()),
                    "version": int(dataset.version),
                    "bytes": _folder_bytes(self._uri(name)) if self.is_local else None,
                }
            )
        return rows

    def __repr__(self) -> str:
        return f"Store({self.path!r})"


class _ArrowView(pads.Dataset):
    """A Lance dataset without the columns DuckDB cannot bind.

    DuckDB refuses a dataset that has a half-precision column even when it is not asked for, and
    some filters it pushes down raise in Lance; those are applied by pyarrow to what was read.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._schema = pa.schema([f for f in dataset.schema if _is_bindable(f.type)])

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def scanner(
        self, columns: Any = None, filter: Any = None, batch_size: int = 65536, **_: Any
    ) -> Any:
        names = list(columns) if columns is not None else self._schema.names
        try:
            scanner = self._dataset.scanner(columns=names, filter=filter, batch_size=batch_size)
            scanner.projected_schema  # noqa: B018  (planning happens here, and raises here)
            return scanner
        except (OSError, ValueError, NotImplementedError):
            reader = self._dataset.scanner(batch_size=batch_size, columns=self._schema.names)
            return pads.Scanner.from_batches(
                reader.to_reader(), schema=self._schema, columns=names, filter=filter
            )

    def count_rows(self, filter: Any = None, **_: Any) -> int:
        return int(self._dataset.count_rows(filter))


def _is_bindable(kind: pa.DataType) -> bool:
    if pa.types.is_float16(kind):
        return False
    if pa.types.is_nested(kind):
        return all(_is_bindable(kind.field(i).type) for i in range(kind.num_fields))
    return True


def _filesystem(text: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system and the path inside it."""
    if "://" not in text:
        return pafs.LocalFileSystem(), str(Path(text).expanduser().absolute())
    try:
        fs, root = pafs.FileSystem.from_uri(text)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DatabaseError(
            f"Cannot open '{text}': {_short(error)}", "use a path, or s3:// and gs:// URIs."
        ) from error
    return fs, root.rstrip("/")


def _read_uri(uri: str | None) -> bytes:
    if not uri:
        return b""
    path = unquote(urlparse(uri).path) if uri.startswith("file://") else uri
    try:
        if "://" in path:
            fs, inside = pafs.FileSystem.from_uri(path)
            with fs.open_input_stream(inside) as stream:
                return bytes(stream.read())
        return Path(path).read_bytes()
    except (OSError, pa.ArrowException):
        return b""


def _is_conflict(error: Exception) -> bool:
    text = str(error).lower()
    return "conflict" in text or "concurrent" in text or "preempted" in text


def _short(error: Exception) -> str:
    """Return the first sentence of a Lance message, without the Rust source location."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return re.sub(r",? (at )?/[^ ]*\.rs:\d+(:\d+)?.*$", "", text)


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return -1.0


def _fsync(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _folder_bytes(path: str) -> int:
    return sum(
        os.path.getsize(os.path.join(folder, file))
        for folder, _, files in os.walk(path)
        for file in files
        if os.path.exists(os.path.join(folder, file))
    )


def software() -> str:
    """Return the versions that a result depends on, as JSON."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("slicedb", "pylance", "duckdb", "pyarrow", "numpy", "torch", "open_clip_torch"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return json.dumps(found)
