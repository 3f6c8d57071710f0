"""Which rows belong to which slice, and the two products that evaluation consists of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slicedb.keys import row_type

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_CELLS = 8_000_000
"""Cells of a block held at once: 64 MB."""


class Membership:
    """The membership matrix of s slices over n rows, held as row positions.

    Args:
        positions: s arrays of row numbers in [0, n), each without duplicates.
        n: number of rows.
    """

    def __init__(self, positions: Iterable[npt.NDArray[np.integer]], n: int) -> None:
        # Half the memory: a hundred slices of ten million samples have some 60 million positions.
        self.positions: list[npt.NDArray[Any]] = [np.asarray(p, row_type(n)) for p in positions]
        self.n = n
        self.sizes = np.array([len(p) for p in self.positions], np.int64)
        """int64 (s,): rows of each slice."""

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def matrix(self) -> csr_matrix:
        """The matrix as scipy CSR, float64 (s, n)."""
        from scipy import sparse

        columns = np.concatenate(self.positions) if self.positions else np.empty(0, np.int32)
        ends = np.concatenate([[0], np.cumsum(self.sizes)])
        shape = (len(self), self.n)
        return sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=shape)

    def sum(self, values: npt.NDArray[np.number] | csr_matrix) -> npt.NDArray[np.float64]:
        """Sum columns over each slice.

        Args:
            values: float64 (n, d), an array or a scipy sparse matrix.

        Returns:
            float64 (s, d), 0 for an empty slice.
        """
        sums = self.matrix @ values  # (s, n) @ (n, d) -> (s, d)
        return sums if isinstance(sums, np.ndarray) else np.asarray(sums.toarray())

    def within(self, rows: npt.NDArray[np.int64]) -> Membership:
        """Return the membership over some of the rows, numbered as they are given.

        Args:
            rows: int64 (m,), ascending.
        """
        place = np.full(self.n, -1, row_type(self.n))
        place[rows] = np.arange(len(rows))
        places = (place[positions] for positions in self.positions)
        return Membership([p[p >= 0] for p in places], len(rows))

    def between(self, start: int, stop: int) -> Membership:
        """Return the membership over the rows from `start` up to `stop`, numbered from 0."""
        parts = []
        for rows, is_rising in zip(self.positions, self._rising):
            if is_rising:
                part = rows[slice(*np.searchsorted(rows, [start, stop]))]
            else:
                part = rows[(rows >= start) & (rows < stop)]
            parts.append(part - start)
        return Membership(parts, stop - start)

    @cached_property
    def _rising(self) -> list[bool]:
        """Whether the rows of each slice stand in ascending order, as they mostly do."""
        return [bool((rows[1:] > rows[:-1]).all()) for rows in self.positions]

    def count(self, codes: npt.NDArray[np.integer], width: int) -> npt.NDArray[np.int64]:
        """Count codes over each slice.

        Args:
            codes: integers (n,) in [0, width).
            width: number of codes.

        Returns:
            int64 (s, width).
        """
        small = codes.astype(np.int32, copy=False)
        result = np.empty((len(self), width), np.int64)
        for i, rows in enumerate(self.positions):
            result[i] = np.bincount(small[rows], minlength=width)
        return result

    def blocks(self, width: int) -> Iterator[tuple[int, Membership]]:
        """Yield (first slice, membership of a few slices) with about 64 MB of (s, width)."""
        step = max(1, _CELLS // max(width, 1))
        for start in range(0, len(self), step):
            yield start, Membership(self.positions[start : start + step], self.n)
