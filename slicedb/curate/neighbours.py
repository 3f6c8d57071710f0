"""Find the pairs of samples whose vectors are near: all pairs, exactly, in blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slicedb.errors import CheckError
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.progress import Bar
from slicedb.show.numbers import count
from slicedb.vectors import Matrix

MOST_PAIRS = 20_000_000
"""Pairs beyond which a threshold is refused: they would not fit into memory, nor be looked at."""
_ROWS, _COLUMNS = 1024, 8192
"""Vectors compared at once: 32 MB of cosines."""
_DRAWN = 1 << 14
"""Pairs of vectors gathered at once."""


def with_vector(matrix: Matrix, keys: Ints) -> Ints:
    """Return int64 (m,): the rows of the matrix of those samples that have a vector, ascending."""
    rows = np.sort(matrix.index.rows(keys))
    whole = [
        ~np.isnan(matrix.vectors[rows[i : i + 65_536], 0]) for i in range(0, len(rows), 65_536)
    ]
    return np.asarray(rows[np.concatenate(whole)] if whole else rows)


def cosines(matrix: Matrix, left: Ints, right: Ints) -> Floats:
    """Return float64 (m,): the cosine of each pair of rows."""
    out = np.empty(len(left))
    for start in range(0, len(left), _DRAWN):
        part = slice(start, start + _DRAWN)
        one, other = (_unit(matrix, rows[part]) for rows in (left, right))
        out[part] = np.einsum("nd,nd->n", one, other)
    return out


def vector_pairs(matrix: Matrix, rows: Ints, least: float, bar: Bar) -> tuple[Ints, Ints, Floats]:
    """Return the pairs of rows with a cosine of at least so much, and their cosines.

    Memory is bounded by the blocks and by what is found, whatever the number of vectors.

    Args:
        matrix: unit vectors.
        rows: int64 (m,), ascending: the rows to compare, all with a vector.
        least: cosine.
        bar: advanced by one per row.

    Returns:
        int64 (p,), int64 (p,) and float64 (p,): places in `rows`, the left ones before the right
        ones.

    Raises:
        CheckError: there are more than `MOST_PAIRS`.
    """
    lefts, rights, scores, total = [], [], [], 0
    for first in range(0, len(rows), _ROWS):
        mine = _unit(matrix, rows[first : first + _ROWS])
        for start, others in _blocks(matrix, rows, first):
            product = mine @ others.T  # (r, d) @ (d, c) -> (r, c)
            a, b = np.nonzero(product >= least)
            behind = b + start > a + first
            a, b = a[behind], b[behind]
            lefts.append(a + first)
            rights.append(b + start)
            scores.append(product[a, b].astype(np.float64))
            total += len(a)
            if total > MOST_PAIRS:
                raise CheckError(
                    f"More than {count(MOST_PAIRS, 'pair has', 'pairs have')} a cosine of "
                    f"{least:g} or more.",
                    "give a threshold nearer to 1.",
                )
        bar.advance(len(mine))
    if not lefts:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, np.empty(0)
    return np.concatenate(lefts), np.concatenate(rights), np.concatenate(scores)


def nearest(matrix: Matrix, rows: Ints, k: int, bar: Bar) -> tuple[Ints, Ints, Floats]:
    """Return the pairs of each row with the k rows nearest to it, exactly, each pair once.

    Args:
        matrix: unit vectors.
        rows: int64 (m,), ascending: the rows to compare, all with a vector.
        k: neighbours of each.
        bar: advanced by one per row.

    Returns:
        int64 (p,), int64 (p,) and float64 (p,): places in `rows`, the left ones before the right
        ones, and their cosines.
    """
    lefts, rights, scores = [], [], []
    for first in range(0, len(rows), _ROWS):
        mine = _unit(matrix, rows[first : first + _ROWS])
        own = np.arange(len(mine))
        best = _Best(len(mine), k)
        for start, others in _blocks(matrix, rows, 0):
            product = mine @ others.T  # (r, d) @ (d, c) -> (r, c)
            inside = (own + first >= start) & (own + first < start + len(others))
            product[own[inside], own[inside] + first - start] = -np.inf  # oneself
            best.offer(product, start)
        is_there = np.isfinite(best.scores)
        lefts.append(np.repeat(own + first, k)[is_there.ravel()])
        rights.append(best.places[is_there])
        scores.append(best.scores[is_there].astype(np.float64))
        bar.advance(len(mine))
    left, right = np.concatenate(lefts), np.concatenate(rights)
    code = np.minimum(left, right) * len(rows) + np.maximum(left, right)
    code, at = np.unique(code, return_index=True)
    return code // len(rows), code % len(rows), np.concatenate(scores)[at]


class _Best:
    """The k best scores of each of n rows, of blocks of scores that come one after another.

    After the first block few scores are better than the k-th best one: comparing each with that
    one costs a tenth of sorting them out.
    """

    def __init__(self, n: int, k: int) -> None:
        self.scores = np.full((n, k), -np.inf, np.float32)
        self.places = np.zeros((n, k), np.int64)

    def offer(self, scores: np.ndarray, start: int) -> None:
        """Take a block of scores, float32 (n, c), of places from `start`."""
        n, k = self.scores.shape
        width = scores.shape[1]
        if start == 0 and width > k:
            top = np.argpartition(-scores, k, axis=1)[:, :k]
            self.scores, self.places = np.take_along_axis(scores, top, axis=1), top
            return
        least = self.scores.min(axis=1)
        row, column = np.divmod(np.flatnonzero(scores > least[:, None]), width)
        if not len(row):
            return
        every_row = np.concatenate([np.repeat(np.arange(n), k), row])
        every = np.concatenate([self.scores.ravel(), scores[row, column]])
        place = np.concatenate([self.places.ravel(), column + start])
        order = np.lexsort((-every, every_row))
        sizes = np.bincount(every_row, minlength=n)
        firsts = np.cumsum(sizes) - sizes
        kept = order[firsts[:, None] + np.arange(k)]
        self.scores, self.places = every[kept], place[kept]


def _blocks(matrix: Matrix, rows: Ints, first: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(first, len(rows), _COLUMNS):
        yield start, _unit(matrix, rows[start : start + _COLUMNS])


def _unit(matrix: Matrix, rows: Ints) -> np.ndarray:
    """Return float32 (m, d) of rows, of unit length: those stored in float16 are so but roughly."""
    wide = matrix.vectors[rows].astype(np.float32)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))
