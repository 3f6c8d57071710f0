"""Read the encoded images of a slice: from the database or their files, in any process."""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import SliceDBError
from slicedb.keys import distinct
from slicedb.media import ranged
from slicedb.schema import IMAGES
from slicedb.store import Store

_KEEP_BYTES = 256 << 20


class EncodedImages:
    """The encoded images of n samples, as they are when this is made.

    Images of up to 256 MB in all are kept in memory once they were read. In another process the
    database is opened again; a forked process is refused, since Lance does not survive a fork.

    Args:
        keys: int64 (n,).
        n_bytes: how large the images are in all.
    """

    def __init__(self, store: Store, keys: np.ndarray, n_bytes: int) -> None:
        self.path = store.path
        self._options = store.files.options
        self._keys = keys
        self._version = store.version(IMAGES) if store.has(IMAGES) else None
        self._rows = (
            np.full(len(keys), -1, dtype=np.int64)
            if self._version is None
            else store.positions(IMAGES, keys, self._version)
        )
        self._cached: list[bytes | None] | None = None
        if n_bytes <= _KEEP_BYTES:
            self._cached = [None] * len(keys)
        self._store: Store | None = store
        self._pid = os.getpid()

    @property
    def stored(self) -> bool:
        """Whether the database holds every image itself, none in a file of its own."""
        return bool((self._rows >= 0).all())

    def read(self, indices: np.ndarray) -> list[bytes]:
        """Return the images of samples, int64 (b,), each read once and in stored order.

        Raises:
            SliceDBError: this process was forked from the one that opened the database.
        """
        store = self._open()
        each = distinct(indices)
        cached = self._cached
        if cached is None:
            blobs = self._fetch(store, each)
            return [blobs[i] for i in np.searchsorted(each, indices).tolist()]
        missing = np.array([i for i in each.tolist() if cached[i] is None], dtype=np.int64)
        if len(missing):
            for i, data in zip(missing.tolist(), self._fetch(store, missing)):
                cached[i] = data
        return [cached[i] or b"" for i in indices.tolist()]

    def _fetch(self, store: Store, indices: np.ndarray) -> list[bytes]:
        rows = self._rows[indices]
        order = np.argsort(rows, kind="stable")  # images in files have row -1 and come first
        keys = self._keys[indices[order]]
        n_files = int((rows < 0).sum())
        files = store.read_images(keys[:n_files], version=self._version)
        blobs: list[bytes] = [data for _, data in files]
        if n_files < len(keys):
            table = store.take(IMAGES, keys[n_files:], ["image"], version=self._version)
            ranges = store.gray_ranges()
            stored = bytes_of(table["image"])
            blobs += [ranged(data, ranges) for data in stored] if ranges else stored
        as_asked: list[bytes] = [b""] * len(order)
        for at, data in zip(order.tolist(), blobs):
            as_asked[at] = data
        return as_asked

    def _open(self) -> Store:
        if self._pid != os.getpid():
            raise SliceDBError(
                "This worker was forked, and Lance does not survive a fork.",
                "use dataset.loader(num_workers=2), or multiprocessing_context='forkserver' "
                "(or 'spawn') with torch's DataLoader.",
            )
        if self._store is None:
            self._store = Store.open(self.path, create=False, storage_options=self._options)
        return self._store

    def __getstate__(self) -> dict[str, object]:
        empty = None if self._cached is None else [None] * len(self._keys)
        return {**self.__dict__, "_store": None, "_cached": empty, "_pid": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _pid=os.getpid())


def bytes_of(column: pa.ChunkedArray) -> list[bytes]:
    """Return each value of a binary column, b"" for a null; faster than Arrow's `to_pylist`."""
    blobs: list[bytes] = []
    for chunk in column.chunks:
        _, ends, values = chunk.buffers()
        if values is None:
            blobs += [b""] * len(chunk)
            continue
        width = np.int64 if pa.types.is_large_binary(chunk.type) else np.int32
        at = np.frombuffer(ends, width)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        whole = memoryview(values)
        each = [bytes(whole[start:stop]) for start, stop in pairwise(at)]
        for null in np.flatnonzero(pc.is_null(chunk)) if chunk.null_count else ():
            each[null] = b""
        blobs += each
    return blobs
