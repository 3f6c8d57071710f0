"""Keep matrices as memory-mapped files in the cache folder of a database, by (table, version).

Beside them lies what they are of. Files of another table, of a version that has other rows by now,
or that were cut or written over are built anew.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.cache import give_back
from slicedb.schema import EMBEDDINGS
from slicedb.vectors.matrix import Matrix

if TYPE_CHECKING:
    from slicedb.store import Store

_BATCH = 16_384
"""Vectors read from the store at once."""
_WRITTEN = 64 << 20
"""Numbers after which a file that is being built is written out, so that it may be larger than
memory."""
_ABOUT = "about"
_LOOKS, _LOOK = 64, 4096
"""Places of the vectors that are compared when files are opened, and the bytes of each: to read all
of a million vectors would take as long as a query."""


def open_matrix(store: Store, name: str, version: int) -> Matrix:
    """Return the matrix of an embedding, and build its file when it is missing.

    Where the cache folder cannot be written, the matrix is held in memory.
    """
    table = EMBEDDINGS + name
    files = None
    with contextlib.suppress(OSError):
        folder = _folder(store, table, version)
        files = _opened(store, table, version, folder)
        if files is None:
            shutil.rmtree(folder, ignore_errors=True)
            _build(store, table, version, folder)
            files = _opened(store, table, version, folder)
    if files is None:
        files = _empty(store, table, version, None)
        _fill(store, table, version, *files)
    keys, vectors = files
    return Matrix(keys, vectors, name, version)


def link_matrix(store: Store, name: str, before: int, after: int) -> None:
    """Let a version have the files of an earlier one that holds the same vectors."""
    table = EMBEDDINGS + name
    with contextlib.suppress(OSError):
        files = _opened(store, table, before, _folder(store, table, before))
        if files is None:
            return
        folder = _folder(store, table, after)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            for file in ("vectors.npy", "keys.npy"):
                os.link(_folder(store, table, before) / file, scratch / file)
            (scratch / _ABOUT).write_text(_about(store, table, after, *files), encoding="utf-8")
            os.rename(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _opened(
    store: Store, table: str, version: int, folder: Path
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return keys and vectors of the files of a version; None where they are not whole or its."""
    try:
        # Copy-on-write, since torch wants memory that it could write to.
        vectors = np.load(folder / "vectors.npy", mmap_mode="c")
        keys = np.load(folder / "keys.npy")
        about = (folder / _ABOUT).read_text(encoding="utf-8")
        if about == _about(store, table, version, keys, vectors):
            return keys, vectors
    except (OSError, EOFError, MemoryError, OverflowError, TypeError, ValueError):
        pass  # what NumPy makes of bytes that somebody else wrote
    return None


def _about(store: Store, table: str, version: int, keys: np.ndarray, vectors: np.ndarray) -> str:
    """Return what tells the files of a version from any others."""
    data = vectors.reshape(-1).view(np.uint8)
    found = zlib.crc32(keys.tobytes())
    for start in np.linspace(0, max(0, len(data) - _LOOK), _LOOKS).astype(np.int64).tolist():
        found = zlib.crc32(data[start : start + _LOOK].tobytes(), found)
    stamp = store.stamp(table, version)
    return f"{stamp} {keys.dtype} {len(keys)} {vectors.dtype} {vectors.shape} {found:08x}"


def _folder(store: Store, table: str, version: int) -> Path:
    return store.cache_dir / "vectors" / f"{table}@{version}"


def _empty(
    store: Store, table: str, version: int, folder: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and vectors to be filled; the vectors lie in a file where there is a folder."""
    width = store.schema(table, version).field("vector").type.list_size
    shape = (store.count(table, version), width)
    keys = np.empty(shape[0], np.int64)
    if folder is None or not shape[0]:
        return keys, np.empty(shape, np.float16)
    path = str(folder / "vectors.npy")
    return keys, np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)


def _build(store: Store, table: str, version: int, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        keys, vectors = _empty(store, table, version, scratch)
        _fill(store, table, version, keys, vectors)
        if isinstance(vectors, np.memmap):
            vectors.flush()
        else:
            np.save(scratch / "vectors.npy", vectors)
        np.save(scratch / "keys.npy", keys)
        about = _about(store, table, version, keys, vectors)
        (scratch / _ABOUT).write_text(about, encoding="utf-8")
        # Another process may have built the same one first.
        with contextlib.suppress(OSError):
            os.rename(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _remove_old(table, version, folder)
    give_back()


def _fill(store: Store, table: str, version: int, keys: np.ndarray, vectors: np.ndarray) -> None:
    done = written = 0
    at_once = _WRITTEN // max(1, vectors.shape[1])
    for batch in store.scan(table, ["key", "vector"], version=version, batch_size=_BATCH):
        part = slice(done, done + batch.num_rows)
        keys[part] = batch["key"].to_numpy(zero_copy_only=False)
        vectors[part] = unit_rows(batch["vector"])
        done += batch.num_rows
        if isinstance(vectors, np.memmap) and done - written >= at_once:
            vectors.flush()
            _let_go(vectors)
            written = done


def _let_go(vectors: np.memmap) -> None:
    """Let what was written leave the memory of this process; it is in the file."""
    mapped = vectors.base
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _remove_old(table: str, version: int, folder: Path) -> None:
    for other in folder.parent.glob(f"{table}@*"):
        number = other.name.rsplit("@", 1)[1]
        # The version before may still be open in another process.
        if number.isdigit() and int(number) < version - 1:
            shutil.rmtree(other, ignore_errors=True)


def unit_rows(column: pa.FixedSizeListArray) -> np.ndarray:
    """Return float16 (n, d): unit vectors, NaN where a vector is null or has no length."""
    size = column.type.list_size
    flat = column.values.slice(column.offset * size, len(column) * size)
    rows = flat.to_numpy(zero_copy_only=False).reshape(len(column), size).astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = np.where(lengths > 0, rows / lengths, np.nan)
    if column.null_count:
        rows[~column.is_valid().to_numpy(zero_copy_only=False)] = np.nan
    return rows.astype(np.float16)
