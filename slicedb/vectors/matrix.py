"""Compute exact similarity with the half-precision unit vectors of one embedding.

A score is the half-precision product of two unit vectors. It depends on the row and the target
alone, never on which other rows are scored with it, so that a cut gives the same members
whichever way a query is run.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np

from slicedb.cache import Cache
from slicedb.keys import KeyIndex
from slicedb.vectors.best import best

_SMALL = 4_000_000
"""Numbers in a matrix below which NumPy does the product and torch is not imported."""
_CHUNK = 1_048_576
"""Rows scored between two looks at the clock."""
_GATHERED = 32_768
"""Rows taken together at a time."""
_CACHED = 256 * 2**20
"""Bytes of scores kept per matrix."""
_AT_ONCE = 16 * 2**20
"""Scores held at once while the nearest of many targets are looked for."""
_ONE_AT_A_TIME = threading.Lock()

Interrupt = Callable[[], None]


def no_limit() -> None:
    """Check nothing: the work may take as long as it takes."""


class Matrix:
    """The unit vectors of one embedding at one version.

    The vectors may lie in a memory-mapped file that is larger than memory: every method goes over
    them in blocks.

    Args:
        keys: int64 (n,).
        vectors: float16 (n, d), unit length; NaN where a vector is missing.
    """

    def __init__(
        self, keys: np.ndarray, vectors: np.ndarray, name: str = "", version: int = 0
    ) -> None:
        self.keys = keys
        self.vectors = vectors
        self.name = name
        self.version = version
        self.index = KeyIndex(keys)
        self._wide: np.ndarray | None = None
        self._order: tuple[np.ndarray, np.ndarray | None] | None = None
        self._columns = Cache[bytes, np.ndarray](
            most=_CACHED, size=lambda column: column.nbytes, most_size=_CACHED
        )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.vectors.shape[1])

    def order(self, keys: np.ndarray) -> np.ndarray | None:
        """Return int64 (m,): the row of each sample's key, -1 where it has none; None: as here.

        The last answer is kept for as long as the keys are the same array, since every query over
        one version of the samples asks with the same keys.
        """
        last = self._order
        if last is not None and last[0] is keys:
            return last[1]
        rows = None if np.array_equal(keys, self.keys) else self.index.find(keys)
        self._order = (keys, rows)
        return rows

    def of(self, keys: np.ndarray) -> np.ndarray:
        """Return float32 (m, d): the vectors of samples, NaN where one is missing."""
        rows = self.index.find(keys)
        vectors = np.full((len(keys), self.dim), np.nan, dtype=np.float32)
        vectors[rows >= 0] = self.vectors[rows[rows >= 0]]
        return vectors

    def blocks(self, size: int = _CHUNK) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, float32 (m, d)) of consecutive rows; NaN where a vector is missing."""
        for start in range(0, len(self), size):
            yield start, np.asarray(self.vectors[start : start + size], dtype=np.float32)

    def top(
        self,
        targets: np.ndarray,
        k: int,
        rows: np.ndarray | None = None,
        check: Interrupt = no_limit,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows nearest to each target, and their scores.

        Args:
            targets: float32 (t, d), unit length.
            k: how many of each, from 1.
            rows: int64 (m,), ascending: the rows to choose from; None chooses from all.
            check: called between chunks; raises to stop.

        Returns:
            int64 (t, k) and float32 (t, k), nearest first, ties in the order of the rows; -1 and
            NaN where fewer than k rows have a vector.
        """
        nearest = np.full((len(targets), k), -1, dtype=np.int64)
        scores = np.full((len(targets), k), np.nan, dtype=np.float32)
        together = max(1, _AT_ONCE // max(1, len(self) if rows is None else len(rows)))
        for start in range(0, len(targets), together):
            columns = self.scores(targets[start : start + together], rows, check, keep=False)
            for t, column in enumerate(columns, start):
                first = best(column, k)
                nearest[t, : len(first)] = first if rows is None else rows[first]
                scores[t, : len(first)] = column[first]
        return nearest, scores

    def scores(
        self,
        targets: np.ndarray,
        rows: np.ndarray | None = None,
        check: Interrupt = no_limit,
        keep: bool = True,
    ) -> list[np.ndarray]:
        """Return the cosine of each row with each target: one pass for all that are not cached.

        Args:
            targets: float32 (t, d), unit length.
            rows: int64 (m,): the rows to score; None scores all.
            check: called between chunks; raises to stop.
            keep: whether scores of all rows are cached for the next call.

        Returns:
            float32 (m,) per target, not to be written to; NaN where a vector is missing.
        """
        halves = np.ascontiguousarray(targets, dtype=np.float16)
        names = [half.tobytes() for half in halves]
        columns: dict[bytes, np.ndarray] = {}
        for name in names:
            if (column := self._columns.find(name)) is not None:
                columns[name] = column if rows is None else column[rows]
        new = [number for number, name in enumerate(names) if name not in columns]
        if new:
            for number, column in zip(new, self._product(halves[new], rows, check)):
                column.flags.writeable = False
                columns[names[number]] = column
                if rows is None and keep:
                    self._columns.put(names[number], column)
        return [columns[name] for name in names]

    def _product(self, halves: np.ndarray, rows: np.ndarray | None, check: Interrupt) -> np.ndarray:
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
                    # Gathering into one buffer: a fresh one per chunk costs as much as the product.
                    block = taken[: part.stop - start]
                    torch.index_select(whole, 0, torch.from_numpy(rows[part]), out=block)
                torch.mm(queries, block.T, out=out[:, part])  # (t, d) @ (d, m) -> (t, m)
        return np.asarray(out.float().numpy())

    def _small(self, halves: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        if self._wide is None:
            self._wide = np.asarray(self.vectors, dtype=np.float32)
        # One target at a time: with several, BLAS sums in another order.
        scores = np.stack([self._wide @ half for half in halves.astype(np.float32)])  # (t, n)
        scores = scores.astype(np.float16).astype(np.float32)
        return scores if rows is None else scores[:, rows]


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
