"""Chance: what counts would be if it were a matter of chance which set a sample is in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.curate.units import Ints

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

DRAWS = 1999
"""Permutations."""
_TOGETHER = 16_000_000
"""Numbers held at once."""


@dataclass(frozen=True, eq=False)
class Chance:
    """Draws which set a sample is in anew, a group as a whole.

    Args:
        is_b: bool (n,): whether a sample is in the second set.
        unit: int64 (n,): the group of each sample; None lets each be its own.
        seed: of the draws.
        draws: how many.
    """

    is_b: Bools
    unit: Ints | None = None
    seed: int = 0
    draws: int = DRAWS

    def counts(self, cell: Ints, sample: Ints, n_cells: int) -> Floats:
        """Return float64 (1 + draws, c): samples of the second set by cell; first as they are.

        Args:
            cell: int64 (e,): a cell, from 0, that the sample beside it is in.
            sample: int64 (e,).
            n_cells: how many cells.
        """
        observed = np.bincount(cell, self.is_b[sample].astype(np.float64), n_cells)
        if self.unit is not None:
            return np.concatenate([observed[None], self._by_unit(cell, sample, n_cells)])
        rng = np.random.default_rng(self.seed)
        total = np.bincount(cell, minlength=n_cells)
        n, n_b = len(self.is_b), int(self.is_b.sum())
        if len(np.unique(sample)) == len(sample):  # each sample is in one cell at most
            every = np.append(total, n - len(sample))
            drawn = rng.multivariate_hypergeometric(every, n_b, self.draws, method="marginals")
            drawn = drawn[:, :-1]
        else:
            drawn = np.stack([rng.hypergeometric(k, n - k, n_b, self.draws) for k in total], axis=1)
        return np.concatenate([observed[None], drawn.astype(np.float64)])

    def _by_unit(self, cell: Ints, sample: Ints, n_cells: int) -> Floats:
        from scipy.sparse import coo_array

        assert self.unit is not None
        members = (np.ones(len(cell)), (cell, self.unit[sample]))
        n_units = int(self.unit.max()) + 1
        table = coo_array(members, shape=(n_cells, n_units)).tocsr()
        parts = [table @ drawn for drawn in self.labels()]
        return np.concatenate(parts, axis=1).T

    def sizes(self) -> Floats:
        """Return float64 (1 + draws,): the samples of the second set in each draw."""
        n_b = float(self.is_b.sum())
        if self.unit is None:
            return np.full(self.draws + 1, n_b)
        size = np.bincount(self.unit).astype(np.float64)
        return np.concatenate([[n_b], *(size @ drawn for drawn in self.labels())])

    def labels(self) -> list[Floats]:
        """Return float64 (u, k) in parts: by draw the share of each unit in the second set."""
        n_units = len(self.is_b) if self.unit is None else int(self.unit.max()) + 1
        if self.unit is None:
            share = self.is_b.astype(np.float64)
        else:
            share = np.bincount(self.unit, self.is_b, n_units) / np.bincount(self.unit)
        rng = np.random.default_rng(self.seed)
        size = max(1, _TOGETHER // n_units)
        parts = []
        for start in range(0, self.draws, size):
            n = min(size, self.draws - start)
            parts.append(rng.permuted(np.repeat(share[:, None], n, axis=1), axis=0))
        return parts


def folds_of(unit: Ints, seed: int = 0, n_folds: int = 5) -> Ints:
    """Return int64 (n,): the fold of each sample; a unit is in one fold.

    Args:
        unit: int64 (n,): the group of each sample, from 0 without a gap.
        seed: decides which unit is where.
        n_folds: how many, or as many as there are units.
    """
    n_units = int(unit.max(initial=-1)) + 1
    rank = np.empty(n_units, np.int64)
    rank[np.random.default_rng(seed).permutation(n_units)] = np.arange(n_units)
    return (rank % n_folds)[unit]


def p_of(statistic: Floats) -> float:
    """Return the share of draws that are as extreme as what was observed, which stands first.

    >>> p_of(np.array([3.0, 1.0, 3.0, 2.0]))
    0.5
    """
    return float((statistic >= statistic[0] - 1e-12).sum() / len(statistic))
