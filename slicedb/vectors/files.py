"""Keep matrices as memory-mapped files in the cache folder of a database, by (table, version)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.schema import EMBEDDINGS
from slicedb.vectors.matrix import Matrix

if TYPE_CHECKING:
    from slicedb.store import Store

_BATCH = 16_384
"""Vectors read from the store at once."""


def open_matrix(store: Store, name: str, version: int) -> Matrix:
    """Return the matrix of an embedding, and build its file when it is missing.

    Where the cache folder cannot be written, the matrix is held in memory.
    """
    table = EMBEDDINGS + name
    try:
        folder = _folder(store, table, version)
        if not (folder / "vectors.npy").is_file():
            _build(store, table, version, folder)
        # Copy-on-write, since torch wants memory that it could write to.
        vectors = np.load(folder / "vectors.npy", mmap_mode="c")
        keys = np.load(folder / "keys.npy")
    except OSError:
        keys, vectors = _empty(store, table, version, None)
        _fill(store, table, version, keys, vectors)
    return Matrix(keys, vectors, name, version)


def link_matrix(store: Store, name: str, before: int, after: int) -> None:
    """Let a version have the files of an earlier one that holds the same vectors."""
    with contextlib.suppress(OSError):
        shutil.copytree(
            _folder(store, EMBEDDINGS + name, before),
            _folder(store, EMBEDDINGS + name, after),
            copy_function=os.link,
        )


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
        # Another process may have built the same one first.
        with contextlib.suppress(OSError):
            os.rename(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _remove_old(table, version, folder)


def _fill(store: Store, table: str, version: int, keys: np.ndarray, vectors: np.ndarray) -> None:
    done = 0
    for batch in store.scan(table, ["key", "vector"], version=version, batch_size=_BATCH):
        part = slice(done, done + batch.num_rows)
        keys[part] = batch["key"].to_numpy(zero_copy_only=False)
        vectors[part] = unit_rows(batch["vector"])
        done += batch.num_rows


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
