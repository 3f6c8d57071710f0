"""Exact similarity: a half-precision matrix of embeddings, memory-mapped, by (table, version).

A score is the half-precision product of two unit vectors. It depends on the row and the target
alone, never on which other rows are scored with it, so that a cut gives the same members
whichever way a query is run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.query.bind.catalog import TableInfo

if TYPE_CHECKING:
    from slicedb.store import Store

_SMALL = 4_000_000
"""Numbers in a matrix below which NumPy does the product and torch is not imported."""
_CHUNK = 1_048_576
"""Rows scored between two looks at the clock."""
_GATHERED = 32_768
"""Rows taken together at a time."""
_CACHE = 256 * 2**20
"""Bytes of scores kept a matrix."""
_ONE_AT_A_TIME = threading.Lock()


class Matrix:
    """The unit vectors of one embeddings table at one version.

    Args:
        keys: int64 (n,).
        vectors: float16 (n, d), unit length; NaN where a vector is missing.
    """

    def __init__(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        self.keys = keys
        self.vectors = vectors
        self._sorted: np.ndarray | None = None
        self._wide: np.ndarray | None = None
        self._ordered: tuple[np.ndarray, np.ndarray | None] | None = None
        self._columns: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.vectors.shape[1])

    def order(self, keys: np.ndarray) -> np.ndarray | None:
        """Return int64 (m,): the row of each sample's key, -1 where it has none; None: as here.

        The last answer is kept, for as long as the keys are the same array.
        """
        last = self._ordered
        if last is not None and last[0] is keys:
            return last[1]
        found = None if np.array_equal(keys, self.keys) else self.places(keys)
        self._ordered = (keys, found)
        return found

    def places(self, keys: np.ndarray) -> np.ndarray:
        """Return int64 (m,): the row of each key, -1 where it has none."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        if self._sorted is None:
            self._sorted = np.argsort(self.keys, kind="stable")
        rising = self.keys[self._sorted]
        at = np.minimum(np.searchsorted(rising, keys), len(rising) - 1)
        found: np.ndarray = np.where(rising[at] == keys, self._sorted[at], -1)
        return found

    def scores(
        self,
        targets: np.ndarray,
        rows: np.ndarray | None = None,
        check: Callable[[], None] = lambda: None,
        keep: bool = True,
    ) -> list[np.ndarray]:
        """Return the cosine of each row with each target: one pass for all that are not cached.

        Args:
            targets: float32 (t, d), unit length.
            rows: int64 (m,) places of rows; None scores all.
            check: called between chunks; raises to stop.
            keep: whether scores of all rows are cached for the next call.

        Returns:
            float32 (m,) a target, not to be written to; NaN where a vector is missing.
        """
        halves = np.ascontiguousarray(targets, dtype=np.float16)
        names = [half.tobytes() for half in halves]
        with self._lock:
            known = {name: self._columns[name] for name in names if name in self._columns}
            for name in known:
                self._columns.move_to_end(name)
        found = {name: v if rows is None else v[rows] for name, v in known.items()}
        new = [number for number, name in enumerate(names) if name not in known]
        if new:
            for number, column in zip(new, self._product(halves[new], rows, check)):
                column.flags.writeable = False
                found[names[number]] = column
                if rows is None and keep:
                    self._remember(names[number], column)
        return [found[name] for name in names]

    def _remember(self, name: bytes, column: np.ndarray) -> None:
        with self._lock:
            self._columns[name] = column
            while len(self._columns) * column.nbytes > _CACHE and len(self._columns) > 1:
                self._columns.popitem(last=False)

    def _product(
        self, halves: np.ndarray, rows: np.ndarray | None, check: Callable[[], None]
    ) -> np.ndarray:
        """Return float32 (t, m) of targets in float16 (t, d)."""
        if self.vectors.size <= _SMALL:
            return self._small(halves, rows)
        import torch

        whole, queries = torch.from_numpy(self.vectors), torch.from_numpy(halves)
        n, size = (len(whole), _CHUNK) if rows is None else (len(rows), _GATHERED)
        out = torch.empty((len(halves), n), dtype=torch.float16)
        taken = torch.empty((0 if rows is None else min(n, size), self.dim), dtype=torch.float16)
        with _one_order_of_summing():
            for start in range(0, n, size):
                check()
                part = slice(start, min(start + size, n))
                block = whole[part]
                if rows is not None:
                    block = taken[: part.stop - start]
                    torch.index_select(whole, 0, torch.from_numpy(rows[part]), out=block)
                torch.mm(queries, block.T, out=out[:, part])  # (t, d) @ (d, m) -> (t, m)
        scores: np.ndarray = out.float().numpy()
        return scores

    def _small(self, halves: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        if self._wide is None:
            self._wide = np.asarray(self.vectors, dtype=np.float32)
        # one target at a time, since BLAS sums otherwise where there are several
        found = np.stack([self._wide @ half for half in halves.astype(np.float32)])  # (t, n)
        found = found.astype(np.float16).astype(np.float32)
        return found if rows is None else found[:, rows]


@contextlib.contextmanager
def _one_order_of_summing() -> Iterator[None]:
    """Let torch multiply without oneDNN, which sums in another order for another number of rows."""
    import torch

    with _ONE_AT_A_TIME:
        before = torch.backends.mkldnn.enabled
        torch.backends.mkldnn.enabled = False
        try:
            yield
        finally:
            torch.backends.mkldnn.enabled = before


class Vectors:
    """The matrices of one database, memory-mapped from its cache directory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[tuple[str, int], Matrix] = {}
        self._lock = threading.Lock()

    def matrix(self, info: TableInfo) -> Matrix:
        """Return the matrix of an embeddings table, and build its file when it is missing."""
        slot = (info.name, info.version)
        with self._lock:
            if slot not in self._open:
                for old in [s for s in self._open if s[0] == info.name][:-1]:
                    del self._open[old]
                self._open[slot] = self._load(info)
            return self._open[slot]

    def _load(self, info: TableInfo) -> Matrix:
        try:
            folder = self._store.cache_dir / "vectors" / f"{info.name}@{info.version}"
            if not (folder / "vectors.npy").is_file():
                self._build(info, folder)
            # copy-on-write, since torch wants memory it could write to
            vectors = np.load(folder / "vectors.npy", mmap_mode="c")
            return Matrix(np.load(folder / "keys.npy"), vectors)
        except OSError:
            keys, vectors = self._empty(info, None)
            self._fill(info, keys, vectors)
            return Matrix(keys, vectors)

    def adopt(self, name: str, before: int, after: int) -> None:
        """Take the matrix of one version for the next: what was added holds no vectors.

        Args:
            name: the embeddings table.
            before: a version.
            after: the version after it; any other is left alone, since it may hold others' writes.
        """
        if after != before + 1:
            return
        with self._lock:
            matrix = self._open.get((name, before))
            if matrix is not None:
                self._open[name, after] = matrix
        home = self._store.cache_dir / "vectors"
        with contextlib.suppress(OSError):
            shutil.copytree(
                home / f"{name}@{before}", home / f"{name}@{after}", copy_function=os.link
            )

    def _empty(self, info: TableInfo, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
        shape = (self._store.count(info.name, info.version), info.types["vector"].list_size)
        if folder is None or not shape[0]:
            return np.empty(shape[0], np.int64), np.empty(shape, np.float16)
        path = str(folder / "vectors.npy")
        file: Any = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        return np.empty(shape[0], np.int64), file

    def _build(self, info: TableInfo, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            keys, vectors = self._empty(info, scratch)
            self._fill(info, keys, vectors)
            if isinstance(vectors, np.memmap):
                vectors.flush()
            else:
                np.save(scratch / "vectors.npy", vectors)
            np.save(scratch / "keys.npy", keys)
            # another process may have built the same one first
            with contextlib.suppress(OSError):
                os.rename(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._remove_old(info, folder)

    def _fill(self, info: TableInfo, keys: np.ndarray, vectors: np.ndarray) -> None:
        done = 0
        batches = self._store.scan(
            info.name, ["key", "vector"], version=info.version, batch_size=16_384
        )
        for batch in batches:
            part = slice(done, done + batch.num_rows)
            keys[part] = batch["key"].to_numpy(zero_copy_only=False)
            vectors[part] = unit_rows(batch["vector"])
            done += batch.num_rows

    def _remove_old(self, info: TableInfo, keep: Path) -> None:
        for other in keep.parent.glob(f"{info.name}@*"):
            version = other.name.rsplit("@", 1)[1]
            if version.isdigit() and int(version) < info.version - 1:
                shutil.rmtree(other, ignore_errors=True)


def unit_rows(column: pa.Array) -> np.ndarray:
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
