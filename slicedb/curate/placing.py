"""Place groups of samples into parts, so that every part has its share of every value.

A unit is what must not be divided: a sample, or a group of samples. Units that are alike (equal
counts in every cell) are one type and are placed together, so the cost follows the types, not the
samples. The largest and the rarest come first, each into the part that lacks it most; then units
are exchanged for as long as this lowers the deviation. The deviation is Pearson's: the sum over
parts and cells of (observed - expected)² / expected. The order is that of iterative
stratification (Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data", 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ONE_BY_ONE = 60_000
"""Types that are placed one by one; the smaller ones behind them are spread evenly."""
_WORK = 4e8
"""Counts looked at while units are exchanged."""
_CANDIDATES = 12
"""Units of each part that are tried against one another in a round of exchange."""
_MOST_ROUNDS = 4_000
_REACHABLE = 2
"""How often the sizes that were reached take the place of those that were asked for."""


@dataclass(frozen=True, eq=False)
class Counts:
    """How many samples of each cell every unit has: a sparse matrix in compressed rows.

    A cell is one value of one column, such as label = 'cat'; the first cell counts all samples.
    """

    starts: Ints
    """int64 (u + 1,): where the entries of each unit begin."""
    cells: Ints
    """int64 (e,): the cell of each entry."""
    values: Floats
    """float64 (e,): its samples, above 0."""
    n_cells: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def units(self) -> Ints:
        """int64 (e,): the unit of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def take(self, units: Ints) -> Counts:
        """Return the rows of some units, in their order."""
        lengths = np.diff(self.starts)[units]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        at = np.arange(starts[-1]) + np.repeat(self.starts[:-1][units] - starts[:-1], lengths)
        return Counts(starts, self.cells[at], self.values[at], self.n_cells)

    def total(self, weights: Floats | None = None) -> Floats:
        """Return float64 (c,): the samples of each cell."""
        values = self.values if weights is None else self.values * weights[self.units]
        return np.bincount(self.cells, values, self.n_cells).astype(np.float64)


def count(cell: Ints, sample: Ints, unit: Ints, n_units: int, n_cells: int) -> Counts:
    """Count the samples of each unit in each cell.

    Args:
        cell: int64 (e,): a cell, from 1, that the sample beside it is in; a sample may be in many.
        sample: int64 (e,): that sample.
        unit: int64 (n,): the unit of each sample.
        n_units: how many units there are.
        n_cells: how many cells, with the first, which counts every sample.
    """
    code = np.sort(np.concatenate([unit * n_cells, unit[sample] * n_cells + cell]))
    first = np.flatnonzero(np.append(True, code[1:] != code[:-1])[: len(code)])
    values = np.diff(np.append(first, len(code))).astype(np.float64)
    units, places = np.divmod(code[first], n_cells)
    starts = np.searchsorted(units, np.arange(n_units + 1))
    return Counts(starts, places, values, n_cells)


def place(
    counts: Counts, shares: Floats, placed: Floats | None = None, order: Ints | None = None
) -> Ints:
    """Return int64 (u,): the part of each unit.

    Args:
        counts: the samples of each unit by cell.
        shares: float64 (p,): the share of each part; they add up to 1.
        placed: float64 (p, c): samples by part and cell that are placed already.
        order: int64 (u,): decides among units that are alike; a permutation.
    """
    n = len(counts)
    if placed is None:
        placed = np.zeros((len(shares), counts.n_cells))
    if order is None:
        order = np.arange(n)
    total = placed.sum(axis=0) + counts.total()
    expected = shares[:, None] * np.maximum(total, 1e-12)
    board = _Board(expected, placed.copy())
    kind, example = _types(counts)
    members = np.lexsort((order, kind))
    sizes = np.bincount(kind, minlength=len(example))
    ends = np.cumsum(sizes)
    part = np.empty(n, np.int64)
    kinds = counts.take(example)
    difficult = _by_difficulty(kinds, total)
    for t in difficult[:_ONE_BY_ONE]:
        units = members[ends[t] - sizes[t] : ends[t]]
        part[units] = board.spread(kinds, int(t), len(units))
    if rest := difficult[_ONE_BY_ONE:].tolist():
        units = members[np.isin(kind[members], rest)]
        part[units] = board.even(counts, units)
    _exchange(counts, part, board)
    for _ in range(_REACHABLE):
        # A large group can make the shares that were asked for impossible. The values then follow
        # the sizes that were reached, instead of sizes that no part can have.
        board.expect(total)
        _exchange(counts, part, board)
    return part


class _Board:
    """Samples by part and cell, beside what is expected."""

    def __init__(self, expected: Floats, observed: Floats) -> None:
        self.observed = observed
        self._set(expected)

    def _set(self, expected: Floats) -> None:
        self.expected = expected
        # The number of samples counts double: a share that was asked for is seen at once.
        self.weight = 1 / expected
        self.weight[:, 0] *= 2

    def expect(self, total: Floats) -> None:
        """Expect of every part what its size lets expect."""
        sizes = np.maximum(self.observed[:, :1], 1e-9)
        self._set(sizes * np.maximum(total, 1e-12) / max(total[0], 1e-12))

    @property
    def excess(self) -> Floats:
        return self.observed - self.expected

    def spread(self, kinds: Counts, t: int, m: int) -> Ints:
        """Place m units of one type, and return int64 (m,): their parts."""
        entries = slice(kinds.starts[t], kinds.starts[t + 1])
        cells, values = kinds.cells[entries], kinds.values[entries]
        n_parts = len(self.expected)
        given = np.zeros(n_parts, np.int64)
        if m > 2 * n_parts:
            lacking = np.maximum(-self.excess[:, 0], 0)
            whole = lacking.sum()
            given = np.floor(m * lacking / whole).astype(np.int64) if whole else given
            # One unit each is kept back, so that the rest still evens out what is uneven.
            given = np.minimum(np.maximum(given - 1, 0), m)
            self.observed[:, cells] += given[:, None] * values
        weight = self.weight[:, cells]
        for _ in range(m - int(given.sum())):
            excess = self.observed[:, cells] - self.expected[:, cells]
            cost = ((2 * excess + values) * values * weight).sum(axis=1)
            best = int(cost.argmin())
            self.observed[best, cells] += values
            given[best] += 1
        return np.repeat(np.arange(n_parts), given)

    def even(self, counts: Counts, units: Ints) -> Ints:
        """Place many small units by their order alone, each part at even distances."""
        lacking = np.maximum(-self.excess[:, 0], 1e-9)
        edges = np.cumsum(lacking) / lacking.sum()
        # The golden ratio's multiples fill the unit interval evenly, whatever stretch is taken.
        steps = (np.arange(len(units)) * 0.6180339887498949) % 1.0
        part = np.minimum(np.searchsorted(edges, steps, side="right"), len(edges) - 1)
        some = counts.take(units)
        codes = part[some.units] * counts.n_cells + some.cells
        added = np.bincount(codes, some.values, self.observed.size)
        self.observed += added.reshape(self.observed.shape)
        return part.astype(np.int64)


def _types(counts: Counts) -> tuple[Ints, Ints]:
    """Return int64 (u,): the type of each unit; and int64 (t,): one unit of each type.

    Rows are compared by two sums of random numbers, one per cell and count.
    """
    draws = np.random.default_rng(0).integers(1, 2**61, (2, counts.n_cells), dtype=np.int64)
    mark = np.zeros((2, len(counts)), np.int64)
    with np.errstate(over="ignore"):  # wrapping is as good a mark
        for row, draw in zip(mark, draws):
            np.add.at(row, counts.units, draw[counts.cells] * counts.values.astype(np.int64))
    order = np.lexsort(mark)
    same = (mark[:, order[1:]] == mark[:, order[:-1]]).all(axis=0)
    first = np.append(True, ~same)[: len(order)]
    kind = np.empty(len(counts), np.int64)
    kind[order] = np.cumsum(first) - 1
    return kind, order[first]


def _by_difficulty(kinds: Counts, total: Floats) -> Ints:
    """Return the types, the largest units first, and among equal ones those of rare cells."""
    if not len(kinds):
        return np.empty(0, np.int64)
    size = np.maximum.reduceat(np.where(kinds.cells == 0, kinds.values, 0), kinds.starts[:-1])
    rarest = np.minimum.reduceat(total[kinds.cells], kinds.starts[:-1])
    return np.lexsort((rarest, -size))


def _exchange(counts: Counts, part: Ints, board: _Board) -> None:
    """Move units, alone or in exchange for another, while the deviation falls; in place."""
    n_parts, entries = len(board.expected), len(counts.cells)
    if n_parts < 2 or not len(counts):
        return
    rounds = int(min(_MOST_ROUNDS, _WORK / max(1, entries * n_parts)))
    units = counts.units
    for _ in range(rounds):
        gain = _gains(counts, units, part, board)  # (u, p)
        move = _best_move(counts, gain, part, board)
        if move is None:
            return
        for unit, to in move:
            row = slice(counts.starts[unit], counts.starts[unit + 1])
            cells, values = counts.cells[row], counts.values[row]
            board.observed[part[unit], cells] -= values
            board.observed[to, cells] += values
            part[unit] = to


def _gains(counts: Counts, units: Ints, part: Ints, board: _Board) -> Floats:
    """Return float64 (u, p): by how much the deviation falls when a unit moves to a part."""
    slope = 2 * board.excess * board.weight  # (p, c)
    cells, values = counts.cells, counts.values
    own = part[units]
    leaving = values * slope[own, cells] - values**2 * board.weight[own, cells]
    gain = np.empty((len(counts), len(slope)))
    for k in range(len(slope)):
        entering = values * slope[k, cells] + values**2 * board.weight[k, cells]
        gain[:, k] = np.bincount(units, leaving - entering, len(counts))
    gain[np.arange(len(counts)), part] = -np.inf
    return gain


def _best_move(
    counts: Counts, gain: Floats, part: Ints, board: _Board
) -> list[tuple[int, int]] | None:
    """Return the move, or the two moves in exchange, that lower the deviation most."""
    flat = int(gain.argmax())
    unit, to = divmod(flat, gain.shape[1])
    best, moves = float(gain[unit, to]), [(unit, to)]
    groups = [np.flatnonzero(part == k) for k in range(gain.shape[1])]
    for a in range(gain.shape[1]):
        for b in range(a + 1, gain.shape[1]):
            left, right = _first(gain[groups[a], b]), _first(gain[groups[b], a])
            if not len(left) or not len(right):
                continue
            ups, downs = groups[a][left], groups[b][right]
            # Two moves at once: what each does to the other's parts is twice their product.
            product = _products(counts, ups, downs, board.weight[a] + board.weight[b])
            together = gain[ups, b][:, None] + gain[downs, a][None, :] + 2 * product
            i, j = np.unravel_index(int(together.argmax()), together.shape)
            if together[i, j] > best:
                best, moves = float(together[i, j]), [(int(ups[i]), b), (int(downs[j]), a)]
    return moves if best > 1e-9 else None


def _first(gain: Floats) -> Ints:
    """Return the places of the largest gains."""
    if len(gain) <= _CANDIDATES:
        return np.arange(len(gain))
    return np.argpartition(-gain, _CANDIDATES)[:_CANDIDATES]


def _products(counts: Counts, left: Ints, right: Ints, weight: Floats) -> Floats:
    """Return float64 (l, r): the weighted product of the counts of every two units."""

    def dense(units: Ints) -> Floats:
        some = counts.take(units)
        rows = np.zeros((len(units), counts.n_cells))
        rows[some.units, some.cells] = some.values
        return rows

    return np.asarray((dense(left) * weight) @ dense(right).T)
