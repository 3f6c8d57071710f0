"""Read tables: handles, versions, scans, rows by key, images."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.cache import Cache
from slicedb.errors import (
    DatabaseError,
    SourceError,
    UnknownSampleError,
    UnknownTableError,
    did_you_mean,
)
from slicedb.keys import Keys
from slicedb.media import Ranges, ranged
from slicedb.schema import GRAY, IMAGES, SAMPLES, SOURCES, spoken
from slicedb.show.numbers import count, verb
from slicedb.sources import Files, address, is_remote, read_or_empty, use
from slicedb.store.absent import ENDING, is_marked
from slicedb.store.changes import Changes, changes, read_fragments
from slicedb.store.checksums import Checksums
from slicedb.store.damage import damaged, damaged_files, named
from slicedb.store.dropped import is_table
from slicedb.store.far import cache_of
from slicedb.store.files import first_sentence
from slicedb.store.gone import gone
from slicedb.store.manifests import manifest, newest, read_schema, stamp_of, write_schema
from slicedb.store.rows import Rows, few_rows, least_of, most_lookups
from slicedb.store.without_pandas import import_dataset

if TYPE_CHECKING:
    import lance
    import pyarrow.dataset as pads

_IMAGE_CHUNK = 256
_MOST_SCHEMAS = 256
_MOST_ROWS = 32
_MOST_BYTES = 3 << 27
"""Tables whose keys are kept in memory, and the bytes of all of them."""
_INDEX_BYTES, _METADATA_BYTES = 256 << 20, 64 << 20
"""What Lance may keep. It has 6 GiB and 1 GiB by itself, of each table, and every edit leaves the
metadata of a version there: 1,000 edits took 3.7 GiB."""


class Reader:
    """What can be read of a database; `Store` adds opening and writing."""

    def __init__(self, path: str, files: Files) -> None:
        self.path = path
        self.title = ""  # the commit it is a view of, "" for the present
        self.files = files
        self._root = files.root
        self._lock = threading.RLock()
        self._handles: dict[str, lance.LanceDataset] = {}
        self._rows = Cache[tuple[str, int], Rows](
            _MOST_ROWS, size=lambda rows: rows.nbytes, most_size=_MOST_BYTES
        )
        self._schemas = Cache[tuple[str, str], pa.Schema](_MOST_SCHEMAS)
        # table, column -> version, keys looked up, how many one look-up counts for at least
        self._looked_up: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._synced = time.time()  # what others wrote before, they have flushed
        self._since = self._synced
        self._dirty: set[str] = set()
        self._settled: dict[str, int] = {}
        self._knows_buckets = False  # whether the settings of followed buckets are in use

    # --- the database -------------------------------------------------------------------------

    @property
    def is_local(self) -> bool:
        """Whether the database lies on this machine's file system."""
        return self.files.is_local

    @property
    def is_writable(self) -> bool:
        """Whether the folder of the database may be written to; an object store says it later."""
        return not self.is_local or os.access(self._root, os.W_OK)

    @property
    def cache_dir(self) -> Path:
        """A local folder for what can be computed again; it may be deleted at any time."""
        if self.is_local:
            cache = Path(self._root) / ".cache"
        else:
            cache = cache_of(self.path)
        cache.mkdir(parents=True, exist_ok=True)
        return cache

    @cached_property
    def checksums(self) -> Checksums:
        """What the files of the tables held when they were new; of a local database."""
        return Checksums(self._root)

    @cached_property
    def _session(self) -> lance.Session:
        """What Lance keeps of files and indexes of all tables."""
        import lance

        return lance.Session(
            index_cache_size_bytes=_INDEX_BYTES, metadata_cache_size_bytes=_METADATA_BYTES
        )

    def names(self, *, absent: bool = False) -> list[str]:
        """Return the names of all tables, sorted.

        Args:
            absent: also those that are not there now, of which commits keep versions.
        """
        entries = self.files.names()
        names = {name.removesuffix(".lance") for name in entries if name.endswith(".lance")}
        if not absent:
            names -= {name.removesuffix(ENDING) for name in entries if name.endswith(ENDING)}
        return sorted(name for name in names if not self.is_local or is_table(self._uri(name)))

    def without_version(self) -> list[str]:
        """Return the names of folders that hold the data of a table and no version of it."""
        if not self.is_local:
            return []
        folders = (Path(self._root, name) for name in self.files.names())
        tables = [f for f in folders if f.suffix == ".lance" and not is_table(str(f))]
        return sorted(f.stem for f in tables if any((f / "data").glob("*.lance")))

    def damaged_files(self, name: str, version: int | None = None) -> list[str]:
        """Return the files of a version that are missing or cut; none of them is read."""
        return damaged_files(self.dataset(name, version), self._uri(name)) if self.is_local else []

    def has(self, name: str) -> bool:
        """Return whether there is a table of that name."""
        if self.is_local:
            return is_table(self._uri(name)) and not is_marked(self._root, name)
        return name in self._handles or name in self.names()

    # --- reading ------------------------------------------------------------------------------

    def _uri(self, name: str) -> str:
        base = self._root if self.is_local else self.path.rstrip("/")
        return f"{base}/{name}.lance"

    def dataset(self, name: str, version: int | None = None) -> lance.LanceDataset:
        """Return the `lance.LanceDataset` at its latest, or at the given, version.

        Raises:
            UnknownTableError: there is no such table.
            DatabaseError: there is no such version.
        """
        import_dataset()  # before lance, which imports it with pandas behind
        import lance

        with self._lock:
            handle = self._handles.get(name)
            if handle is None:
                if not self.has(name) and name not in self.names(absent=True):
                    raise UnknownTableError(
                        f"No table '{spoken(name)}' in '{self.path}'.",
                        did_you_mean(name, self.names(), "tables"),
                    )
                with self._reading(name):
                    handle = lance.dataset(
                        self._uri(name),
                        storage_options=self.files.options,
                        session=self._session,
                    )
                    _ = handle.schema  # a damaged one is noticed here
                self._handles[name] = handle
            else:
                try:
                    handle.checkout_latest()
                except (OSError, ValueError) as error:
                    del self._handles[name]
                    if unanswered := gone(self.files, error):
                        raise unanswered from error
                    if self.has(name):
                        raise damaged(name, self._uri(name), None, error) from error
                    raise UnknownTableError(
                        f"Table '{spoken(name)}' is gone: {first_sentence(error)}"
                    ) from error
            if version is None or version == handle.version:
                # a handle of its own, so that no other thread moves it under a running scan
                with self._reading(name):
                    return handle.checkout_version(handle.version)
            try:
                return handle.checkout_version(version)
            except (OSError, ValueError) as error:
                raise gone(self.files, error) or DatabaseError(
                    f"Table '{spoken(name)}' has no version {version}: {first_sentence(error)}",
                    "it may have been cleaned up; commits and frozen slices pin theirs.",
                ) from error

    def version(self, name: str) -> int:
        """Return the latest version number of a table."""
        version = newest(self._uri(name)) if self.is_local else None
        return int(self.dataset(name).version) if version is None else version

    def versions(self) -> dict[str, int]:
        """Return the latest version of every table, by name."""
        return {name: self.version(name) for name in self.names()}

    def count(self, name: str, version: int | None = None) -> int:
        """Return the number of rows."""
        dataset = self.dataset(name, version)
        with self._reading(name):
            return int(dataset.count_rows())

    def schema(self, name: str, version: int | None = None) -> pa.Schema:
        """Return the Arrow schema, with its metadata."""
        if not self.is_local:
            return self.dataset(name, version).schema
        latest = self.version(name)
        chosen = version or latest
        stamp = self.stamp(name, chosen)
        if stamp is None:
            return self.dataset(name, version).schema
        return self._schemas.get((name, stamp), lambda: self._schema(name, chosen, stamp, latest))

    def _schema(self, name: str, version: int, stamp: str, latest: int) -> pa.Schema:
        """Return the schema of a version, from the cache folder where it is that of the latest."""
        path = None
        with contextlib.suppress(OSError):
            path = self.cache_dir / "schemas" / name
        if path is not None and (schema := read_schema(path, stamp)) is not None:
            return schema
        schema = self.dataset(name, version).schema
        if path is not None and version == latest:
            write_schema(path, stamp, schema)
        return schema

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
            batch_size: rows per batch, which bounds the memory.
        """
        with self._reading(name):
            scanner = self.dataset(name, version).scanner(
                columns=None if columns is None else list(columns),
                filter=where,
                batch_size=batch_size,
                scan_in_order=True,
            )
            batches = iter(scanner.to_batches())
        while True:
            with self._reading(name):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Name the table and the file that cannot be read."""
        opened = self._handles.get(name)
        return named(name, self.files, self._uri(name) if self.is_local else "", opened)

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
        with self._reading(name):
            return dataset.scanner(columns=wanted, filter=where, scan_in_order=True).to_table()

    def stamp(self, name: str, version: int) -> str | None:
        """Return what tells a version of a table from any other content, None where unknown.

        The number of a version does not: a database that was brought back from a backup goes on
        with numbers that it had before. The manifest names files that have names of their own.
        """
        try:
            return stamp_of(self.files.read(manifest(f"{name}.lance", version)))
        except (OSError, SourceError):
            return None

    def changes(
        self, name: str, before: int, after: int, columns: Sequence[str], most: int
    ) -> Changes | None:
        """Return which rows changed in some columns; None where it is unknown, or many did.

        Args:
            name: the table.
            before: a version.
            after: a later version.
            columns: those that are compared.
            most: rows from which on it is many.
        """
        try:
            old, new = self.dataset(name, before), self.dataset(name, after)
            return changes(old, new, columns, most)
        except (DatabaseError, OSError, ValueError):  # the version was cleaned up
            return None

    def changed_rows(
        self, name: str, found: Changes, columns: Sequence[str], version: int
    ) -> pa.Table:
        """Return the new rows of a version, in stored order."""
        with self._reading(name):
            return read_fragments(self.dataset(name, version), found.fragments, columns)

    def positions(self, name: str, keys: Keys, version: int | None = None) -> Keys:
        """Return the place of each key in stored order, -1 where there is no such row.

        Args:
            name: the table.
            keys: int64 (n,).
            version: a version number; None is the latest.

        Returns:
            int64 (n,).
        """
        dataset = self.dataset(name, version)
        with self._reading(name):
            return self._rows_of(name, dataset).positions(keys)

    def take(
        self,
        name: str,
        keys: Keys,
        columns: Sequence[str] | None = None,
        *,
        ids: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Return the rows of `keys`, in their order; see `find`.

        Raises:
            UnknownSampleError: a key has no row.
        """
        table, has_row = self.find(name, keys, columns, ids=ids, version=version)
        if not has_row.all():
            absent = int((~has_row).sum())
            raise UnknownSampleError(
                f"{absent:,} of {count(len(has_row), 'sample')} {verb(absent, 'has', 'have')} no "
                f"row in '{spoken(name)}'.",
                "another process has deleted them: run the command again."
                if name == SAMPLES
                else "",
            )
        return table

    def find(
        self,
        name: str,
        keys: npt.ArrayLike,
        columns: Sequence[str] | None = None,
        *,
        ids: Sequence[str] | None = None,
        version: int | None = None,
    ) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
        """Return the rows of those keys that have one, in their order, and which keys those are.

        A few keys cost a look-up each. From some thousands on, all keys of the table are read
        once and remembered for this version.

        Args:
            name: the table.
            keys: int64 (n,).
            columns: projection; None reads all.
            ids: those of the keys, where they are at hand; they are looked up faster.
            version: a version number; None is the latest.

        Returns:
            The rows, and bool (n,).
        """
        dataset = self.dataset(name, version)
        wanted = np.asarray(keys, np.int64)
        with self._reading(name):
            if not len(wanted):
                none = dataset.scanner(columns=None if columns is None else [*columns], limit=0)
                table, positions = none.to_table(), wanted
            elif self._are_few(name, dataset, len(wanted), by_id=ids is not None):
                table, positions = few_rows(dataset, wanted, columns, ids)
            else:
                rows = self._rows_of(name, dataset)
                positions = rows.positions(wanted)
                table = rows.take(dataset, positions[positions >= 0], columns)
        return table, np.asarray(positions >= 0)

    def present(
        self, name: str, keys: npt.ArrayLike, *, ids: Sequence[str] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return bool (n,): which keys have a row; see `find`."""
        dataset = self.dataset(name)
        wanted = np.asarray(keys, np.int64)
        by_id = ids is not None
        with self._reading(name):
            if len(wanted) and self._are_few(name, dataset, len(wanted), by_id=by_id):
                return np.asarray(few_rows(dataset, wanted, ["key"], ids)[1] >= 0)
            return np.asarray(self._rows_of(name, dataset).positions(wanted) >= 0)

    def _are_few(self, name: str, dataset: lance.LanceDataset, n: int, *, by_id: bool) -> bool:
        """Return whether looking up n keys more costs less than reading all keys of a version."""
        version = int(dataset.version)
        if (name, version) in self._rows:
            return False
        slot = (name, "id" if by_id else "key")
        before, total, least = self._looked_up.get(slot, (-1, 0, 0))
        if before != version:
            total, least = 0, least_of(dataset, slot[1])
        total += max(n, least)
        self._looked_up[slot] = version, total, least
        return total <= most_lookups(dataset)

    def _rows_of(self, name: str, dataset: lance.LanceDataset) -> Rows:
        """Return the rows of a table at the version of a handle; one version is remembered."""
        slot = (name, int(dataset.version))
        rows = self._rows.find(slot)
        if rows is None:
            with self._reading(name):
                rows = Rows.read(dataset)
            self._rows.drop_where(lambda other: other[0] == name)
            self._rows.put(slot, rows)
        return rows

    def read_images(
        self, keys: Keys, *, version: int | None = None, remote: bool = True
    ) -> Iterator[tuple[int, bytes]]:
        """Yield `(key, encoded bytes)` in the order of `keys`.

        Bytes come from the `images` table, or from the sample's `uri` when it was ingested by
        reference. A file that cannot be read, and a sample that was deleted meanwhile, yield
        empty bytes, which no decoder accepts, so that one lost picture costs one row.

        Args:
            keys: int64 (n,). Stored order (`positions` sorted) reads fastest.
            version: a version of `images`; None is the latest.
            remote: False reads nothing from a bucket or a web server, as if it were lost.
        """
        keys = np.asarray(keys, dtype=np.int64)
        stored, ranges = self.has(IMAGES), self.gray_ranges()
        for start in range(0, len(keys), _IMAGE_CHUNK):
            chunk = keys[start : start + _IMAGE_CHUNK]
            images: dict[int, bytes] = {}
            if stored:
                table, has_row = self.find(IMAGES, chunk, ["image"], version=version)
                images = dict(zip(chunk[has_row].tolist(), table["image"].to_pylist()))
            lost = [key for key in chunk.tolist() if images.get(key) is None]
            if lost:
                samples, has_row = self.find(SAMPLES, np.array(lost), ["uri"])
                there = np.array(lost)[has_row].tolist()
                uris = samples["uri"].to_pylist()
                if not remote:
                    uris = [None if uri and is_remote(uri) else uri for uri in uris]
                images.update(zip(there, self._read_far(uris)))
            for key in chunk.tolist():
                yield key, ranged(images.get(key) or b"", ranges)

    def gray_ranges(self) -> Ranges:
        """Return by what deep gray is shown, of each format; nothing was said in most databases."""
        text = self.metadata(SAMPLES).get(GRAY)
        return {name: (low, high) for name, (low, high) in json.loads(text or "{}").items()}

    def _read_far(self, uris: list[str | None]) -> list[bytes]:
        """Read pictures by their address, with the settings of the buckets that `sync` follows."""
        if any(uri and is_remote(uri) for uri in uris) and not self._knows_buckets:
            if self.has(SOURCES):
                for row in self.table(SOURCES, ["id", "settings"]).to_pylist():
                    if is_remote(row["id"]):
                        use(address(row["id"]).root, json.loads(row["settings"] or "{}"))
            self._knows_buckets = True
        return read_or_empty(uris)

    def arrow_dataset(self, name: str, version: int | None = None) -> pads.Dataset:
        """Return a table as a `pyarrow.dataset.Dataset` that DuckDB can register."""
        from slicedb.store.view import ArrowView  # here, for pyarrow.dataset imports pandas

        return ArrowView(self.dataset(name, version), lambda: self._reading(name))
