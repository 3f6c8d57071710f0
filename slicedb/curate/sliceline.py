"""Find the conjunctions of cells in which a model errs most: SliceLine (Sagadeeva & Boehm, 2021).

All conjunctions up to a depth are looked at, level by level. A score weighs the mean error of a
slice against its size; a bound on the score of everything below a conjunction, from its size and
its sum of errors, prunes what cannot be among the best, so that the answer is exact. Sizes and sums
of a level come from one product of matrices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.curate.cells import Cells
from slicedb.curate.units import Ints

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

ALPHA = 0.95
"""How much the error counts against the size, as in the paper."""
_TOGETHER = 8_000_000
"""Numbers of a product held at once."""
_DENSE = 0.02
"""Density of a membership matrix from which on a dense product is quicker than a sparse one."""


@dataclass(frozen=True)
class Conjunction:
    """Samples that are in all of some cells."""

    cells: tuple[int, ...]
    """Ascending, each of another column."""
    n: int
    error: float
    """Sum over its samples."""
    score: float


class Score:
    """What slices are ranked by; higher is better.

    Args:
        values: float64 (n,), not negative: the error of each sample.
    """

    def __init__(self, values: Floats) -> None:
        self.n = len(values)
        self.total = float(values.sum())
        self.largest = float(values.max(initial=0))

    def __call__(self, n: Floats, error: Floats) -> Floats:
        """Return float64: the score of slices of some sizes and sums of errors."""
        raise NotImplementedError

    def bound(self, n: Floats, error: Floats, least: int) -> Floats:
        """Return the most that a part of such slices can score, -inf where none is large enough.

        Below `error / largest` samples every one may have the largest error, so that more of them
        score higher; above it the score is monotone in the size. The best lies at one of the ends.

        Args:
            n: sizes.
            error: sums of errors.
            least: samples of the smallest slice.
        """
        n = np.asarray(n, np.float64)
        turn = np.clip(error / max(self.largest, 1e-300), least, np.maximum(n, least))
        best = np.full(n.shape, -np.inf)
        for size in (np.full(n.shape, float(least)), turn, n):
            best = np.maximum(best, self(size, np.minimum(error, self.largest * size)))
        return np.where(n >= least, best, -np.inf)


class SliceLine(Score):
    """The score of the paper: `alpha (error / mean - 1) - (1 - alpha) (all / size - 1)`.

    Args:
        values: float64 (n,), not negative: the error of each sample.
        alpha: how much the error counts against the size, in (0, 1].
    """

    def __init__(self, values: Floats, alpha: float = ALPHA) -> None:
        super().__init__(values)
        self._alpha = alpha

    def __call__(self, n: Floats, error: Floats) -> Floats:
        n = np.maximum(n, 1e-9)
        lift = error / n * (self.n / max(self.total, 1e-300)) - 1
        return np.asarray(self._alpha * lift - (1 - self._alpha) * (self.n / n - 1))


class Evidence(Score):
    """The log-likelihood ratio that a slice errs more than the rest, 0 where it does not.

    Of errors of 0 and 1 it is Kulldorff's (Commun. Statist. 1997) for a Bernoulli model, of others
    that of a normal one. A large slice that is a little worse and a small one that is much worse
    are weighed as chance would have it, whatever the overall error.
    """

    def __init__(self, values: Floats) -> None:
        super().__init__(values)
        self._is_share = bool(((values == 0) | (values == 1)).all())
        self._variance = float(values.var())

    def __call__(self, n: Floats, error: Floats) -> Floats:
        n = np.clip(n, 1e-9, self.n - 1e-9)
        rest, rest_error = self.n - n, np.maximum(self.total - error, 0.0)
        inside, outside = error / n, rest_error / rest
        if self._is_share:
            mean = self.total / self.n
            ratio = _likelihood(error, n, inside, mean)
            ratio = ratio + _likelihood(rest_error, rest, outside, mean)
        else:
            ratio = (inside - outside) ** 2 * n * rest / (2 * self.n * max(self._variance, 1e-300))
        return np.asarray(np.where(inside > outside, ratio, 0.0))


def _likelihood(k: Floats, n: Floats, share: Floats, mean: float) -> Floats:
    """Return the log-likelihood of k of n at a share, less that at the mean."""
    share = np.clip(share, 1e-300, 1.0)
    wrong = k * np.log(share / max(mean, 1e-300))
    right = (n - k) * np.log(np.maximum(1 - share, 1e-300) / max(1 - mean, 1e-300))
    return np.asarray(wrong + np.where(n > k, right, 0.0))


def conjunctions(
    cells: Cells,
    values: Floats,
    among: Bools | None = None,
    *,
    least: int = 1,
    depth: int = 3,
    most: int = 100,
    score: Callable[[Floats], Score] = SliceLine,
    price: Floats | None = None,
) -> list[Conjunction]:
    """Return the conjunctions with the highest scores above 0, the highest first.

    Args:
        cells: which samples have which values.
        values: float64 (n,): the error of each sample, not negative.
        among: bool (n,): the samples that count; None is all.
        least: samples that a conjunction must have.
        depth: cells of a conjunction at most.
        most: how many are returned.
        score: makes what they are ranked by from the errors of the samples that count.
        price: float64 (c,): what each cell of a conjunction costs of the score; None is nothing,
            inf leaves a cell out.
    """
    members, names = _members(cells, among, len(values), price)
    counted = values if among is None else values[among]
    cost = np.zeros(len(names)) if price is None else price[names]
    search = _Search(members, cells.column[names], cost, counted, score(counted), least, most)
    search.run(depth)
    return [
        Conjunction(tuple(int(names[c]) for c in row), n, error, value)
        for row, n, error, value in search.ranked()
    ]


def mask_of(cells: Cells, chosen: tuple[int, ...], n: int) -> Bools:
    """Return bool (n,): the samples that are in all of some cells."""
    count = np.zeros(n, np.int64)
    for cell in chosen:
        count[cells.sample[cells.cell == cell]] += 1
    return np.asarray(count == len(chosen))


def _members(
    cells: Cells, among: Bools | None, n: int, price: Floats | None
) -> tuple[npt.NDArray[np.float32], Ints]:
    """Return float32 (m, c) membership of the samples that count, and the cell of each column.

    A cell that all or none of the samples are in divides nothing, and is left out.
    """
    place = np.arange(n) if among is None else np.where(among, np.cumsum(among) - 1, -1)
    rows = place[cells.sample]
    inside = rows >= 0
    m = n if among is None else int(among.sum())
    sizes = np.bincount(cells.cell[inside], minlength=len(cells))
    divides = (sizes > 0) & (sizes < m)
    names = np.flatnonzero(divides if price is None else divides & np.isfinite(price))
    column = np.full(len(cells), -1)
    column[names] = np.arange(len(names))
    members = np.zeros((m, len(names)), np.float32)
    chosen = inside & (column[cells.cell] >= 0)
    members[rows[chosen], column[cells.cell[chosen]]] = 1
    return members, names


class _Search:
    """One run over the levels.

    Args:
        members: float32 (n, c), 0 or 1.
        owner: int64 (c,): the column of samples that each cell is of.
        price: float64 (c,): what each cell costs of the score.
        values: float64 (n,): the errors.
        score: what is ranked by.
        least: samples of the smallest slice.
        most: slices that are kept.
    """

    def __init__(
        self,
        members: npt.NDArray[np.float32],
        owner: Ints,
        price: Floats,
        values: Floats,
        score: Score,
        least: int,
        most: int,
    ) -> None:
        self._values, self._score, self._least, self._most = values, score, max(1, least), most
        self._are_shares = bool(((values == 0) | (values == 1)).all())
        n, error = members.sum(axis=0, dtype=np.float64), values @ members
        keep = (n >= self._least) & (error > 0)
        self._cell = np.flatnonzero(keep)
        self._members, self._owner, self._price = members[:, keep], owner[keep], price[keep]
        self._cheapest = float(self._price.min(initial=0))
        self._n, self._error = n[keep], error[keep]
        self._best: list[tuple[tuple[int, ...], int, float, float]] = []
        self._floor = 0.0

    def run(self, depth: int) -> None:
        """Look at all levels."""
        level = np.arange(len(self._cell))[:, None]
        n, error = self._n, self._error
        self._take(level, n, error)
        for _ in range(depth - 1):
            cost = self._price[level].sum(axis=1) + self._cheapest
            open_ = self._bound(n, error) - cost > self._floor
            level = level[open_]
            if not len(level):
                return
            parts = [*self._extended(level, n[open_], error[open_])]
            level = np.concatenate([part[0] for part in parts])
            n = np.concatenate([part[1] for part in parts])
            error = np.concatenate([part[2] for part in parts])

    def ranked(self) -> Iterator[tuple[tuple[int, ...], int, float, float]]:
        """Yield (cells, size, error, score) of the best, the highest score first."""
        for row, n, error, score in self._best:
            yield tuple(int(self._cell[c]) for c in row), n, error, score

    def _bound(self, n: Floats, error: Floats) -> Floats:
        return self._score.bound(n, error, self._least)

    def _extended(
        self, level: Ints, n: Floats, error: Floats
    ) -> Iterator[tuple[Ints, Floats, Floats]]:
        """Yield the conjunctions of one cell more, in parts; each is reached from its first cells.

        The cell that is added comes after the others, and is of another column.
        """
        width = len(self._cell)
        size = max(1, _TOGETHER // max(width, len(self._members)))
        single = self._bound(self._n, self._error)
        for start in range(0, len(level), size):
            rows = level[start : start + size]
            # The bound of each pair of parents: the smaller size, the smaller sum.
            most_n = np.minimum(n[start : start + size, None], self._n)
            most_error = np.minimum(error[start : start + size, None], self._error)
            bound = self._bound(most_n.ravel(), most_error.ravel()).reshape(most_n.shape)
            cost = self._price[rows].sum(axis=1)[:, None] + self._price
            wanted = (bound - cost > self._floor) & (single - cost > self._floor)
            wanted &= np.arange(width) > rows[:, -1:]
            for k in range(rows.shape[1]):
                wanted &= self._owner[rows[:, k], None] != self._owner
            has = np.flatnonzero(wanted.any(axis=1))
            if not len(has):
                continue
            counts, sums = self._products(rows[has], np.flatnonzero(wanted.any(axis=0)))
            chosen = wanted[has] & (counts >= self._least) & (sums > 0)
            at, cell = np.nonzero(chosen)
            made = np.concatenate([rows[has][at], cell[:, None]], axis=1)
            self._take(made, counts[at, cell], sums[at, cell])
            yield made, counts[at, cell], sums[at, cell]
        yield np.empty((0, level.shape[1] + 1), np.int64), np.empty(0), np.empty(0)

    def _products(self, rows: Ints, cells: Ints) -> tuple[Floats, Floats]:
        """Return float64 (r, c): sizes and sums of errors of conjunctions with a cell each."""
        inside = self._members[:, rows[:, 0]]
        for k in range(1, rows.shape[1]):
            inside = inside * self._members[:, rows[:, k]]
        counts = np.zeros((len(rows), len(self._cell)))
        sums = np.zeros_like(counts)
        right = self._members[:, cells]
        if inside.mean() < _DENSE:
            from scipy.sparse import csr_array

            left = csr_array(inside.T.astype(np.float64))
            counts[:, cells] = left @ right
            sums[:, cells] = left @ (right * self._values[:, None])
        elif self._are_shares:
            counts[:, cells] = inside.T @ right  # (r, n) @ (n, c); exact up to 2^24
            wrong = self._values > 0
            sums[:, cells] = inside[wrong].T @ right[wrong]
        else:
            counts[:, cells] = inside.T @ right
            sums[:, cells] = inside.T.astype(np.float64) @ (right * self._values[:, None])
        return counts, sums

    def _take(self, level: Ints, n: Floats, error: Floats) -> None:
        """Keep the best so far, and raise the score that others must have."""
        score = self._score(n, error) - self._price[level].sum(axis=1)
        at = np.flatnonzero(score > self._floor)
        at = at[np.argsort(-score[at], kind="stable")][: self._most]
        new = [(tuple(map(int, level[i])), int(n[i]), float(error[i]), float(score[i])) for i in at]
        # Among equal scores the shorter conjunction, and then the first cells.
        merged = sorted(itertools.chain(self._best, new), key=lambda s: (-s[3], len(s[0]), s[0]))
        self._best = merged[: self._most]
        if len(self._best) == self._most:
            self._floor = self._best[-1][3]
