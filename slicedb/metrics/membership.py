"""Which rows belong to which slice, and the two products that evaluation consists of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_DENSE = 0.04
"""Share of members above which a dense product beats a sparse one (measured)."""

_CELLS = 8_000_000
"""Cells of a block held at once: 64 MB."""


class Membership:
    """The membership matrix of s slices over n rows, held as row positions.

    Args:
        positions: s arrays of int64 row numbers in [0, n), each without duplicates.
        n: number of rows.
    """

    def __init__(self, positions: Sequence[npt.NDArray[np.int64]], n: int) -> None:
        self.positions = [np.asarray(p, np.int64) for p in positions]
        self.n = n
        self.sizes = np.array([len(p) for p in self.positions], np.int64)
        """int64 (s,): rows of each slice."""

    def __len__(self) -> int:
        return len(self.positions)

    def sparse(self) -> Any:
        """Return the matrix as scipy CSR, float64 (s, n)."""
        return self._csr(0, len(self))

    def _csr(self, start: int, stop: int) -> Any:
        from scipy import sparse

        chosen = self.positions[start:stop]
        columns = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
        ends = np.concatenate([[0], np.cumsum(self.sizes[start:stop])])
        return sparse.csr_matrix(
            (np.ones(len(columns)), columns, ends), shape=(len(chosen), self.n)
        )

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sum columns over each slice.

        Args:
            values: float64 (n, d).

        Returns:
            float64 (s, d), 0 for an empty slice.
        """
        filled = self.sizes.sum() / max(1, len(self) * self.n)
        if filled <= _DENSE:
            return np.asarray(self.sparse() @ values)
        result = np.empty((len(self), values.shape[1]))
        for start, stop in self._blocks(self.n):
            block = np.zeros((stop - start, self.n))
            for row, rows in zip(block, self.positions[start:stop]):
                row[rows] = 1.0
            result[start:stop] = block @ values  # (b, n) @ (n, d) -> (b, d)
        return result

    def count(self, codes: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
        """Count codes over each slice.

        Args:
            codes: int64 (n,) in [0, width).
            width: number of codes.

        Returns:
            int64 (s, width).
        """
        small = codes.astype(np.int32)
        result = np.empty((len(self), width), np.int64)
        for i, rows in enumerate(self.positions):
            result[i] = np.bincount(small[rows], minlength=width)
        return result

    def blocks(self, width: int) -> Iterator[tuple[int, Membership]]:
        """Yield (first slice, membership of a few slices) with about 64 MB of (s, width)."""
        for start, stop in self._blocks(width):
            yield start, Membership(self.positions[start:stop], self.n)

    def _blocks(self, width: int) -> Iterator[tuple[int, int]]:
        step = max(1, _CELLS // max(width, 1))
        for start in range(0, len(self), step):
            yield start, min(len(self), start + step)
