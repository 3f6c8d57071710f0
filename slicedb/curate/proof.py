"""Prove on one half of the samples what was found on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb import stats
from slicedb.curate.units import Ints
from slicedb.keys import Keys, mix

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_SALT = 0x5EED
"""Keeps the halves apart from other draws by the same hash."""


def half_of(keys: Keys, group: Ints | None, seed: int = 0) -> Bools:
    """Return bool (n,): the samples to find on; a group is in one half as a whole.

    Args:
        keys: int64 (n,): the samples.
        group: int64 (n,), from 0; None lets each sample be its own.
        seed: which of many halves.
    """
    owner = keys
    if group is not None:  # by the least key of each group, not by the order of the rows
        least = np.full(int(group.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(least, group, keys)
        owner = least[group]
    return np.asarray(mix(mix(owner) ^ np.uint64(_SALT + seed)) % np.uint64(2) == 0)


def fisher(k: int, n: int, wrong: int, total: int) -> float:
    """Return the chance of k errors or more among n samples drawn from all (Fisher, 1935).

    Args:
        k: errors among the n.
        n: samples drawn.
        wrong: errors among all samples.
        total: all samples.

    >>> round(fisher(3, 4, 4, 8), 4)  # the lady tasting tea
    0.2429
    """
    from scipy.special import gammaln, logsumexp

    def choose(a: int, b: npt.NDArray[np.int64]) -> Floats:
        return np.asarray(gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1))

    x = np.arange(max(k, n - (total - wrong)), min(n, wrong) + 1)
    logs = choose(wrong, x) + choose(total - wrong, n - x) - choose(total, np.array([n]))
    return min(1.0, float(np.exp(logsumexp(logs)))) if len(x) else 0.0


@dataclass(frozen=True)
class Rate:
    """A mean error with its interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, eq=False)
class Proof:
    """Errors of samples on which nothing was chosen.

    Args:
        values: float64 (n,), not negative.
        group: int64 (n,): samples of one group are not independent; None: all are.
        confidence: of the intervals.
    """

    values: Floats
    group: Ints | None = None
    confidence: float = 0.95

    @property
    def are_shares(self) -> bool:
        """Whether a sample is right or wrong, and nothing between."""
        return bool(((self.values == 0) | (self.values == 1)).all())

    def rate(self, inside: Bools) -> Rate:
        """Return the mean error of some samples; Wilson's interval for shares, else Student's.

        With groups a share counts as many samples as would vary as much (the effective size).
        """
        values = self.values[inside]
        n = len(values)
        if not n:
            return Rate(float("nan"), float("nan"), float("nan"), 0)
        mean = float(values.mean())
        if not self.are_shares:
            error = self._error(inside)
            if not np.isfinite(error):
                return Rate(mean, 0.0, float("inf"), n)
            from scipy.special import stdtrit

            reach = error * float(stdtrit(max(1, self._units(inside) - 1), self._upper))
            return Rate(mean, max(0.0, mean - reach), mean + reach, n)
        effective = float(n)
        if self.group is not None and 0 < mean < 1:
            error = self._error(inside)
            effective = float(np.clip(mean * (1 - mean) / error**2, 1.0, n))
        low, high = stats.wilson(mean * effective, effective, self.confidence)
        return Rate(mean, float(low), float(high), n)

    def p(self, inside: Bools, rest: Bools) -> float:
        """Return the p-value that some samples err no more than others; 1 where it is unknown.

        Fisher's exact test of shares; Welch's of other errors, and of groups by their sums.
        """
        n, m = int(inside.sum()), int(rest.sum())
        if not n or not m:
            return 1.0
        k, j = float(self.values[inside].sum()), float(self.values[rest].sum())
        if k / n <= j / m:
            return 1.0
        if self.are_shares and self.group is None:
            return fisher(round(k), n, round(k + j), n + m)
        error = np.hypot(self._error(inside), self._error(rest))
        freedom = self._units(inside) - 1
        if freedom < 1 or not np.isfinite(error):
            return 1.0
        from scipy.special import stdtr

        return float(stdtr(freedom, -(k / n - j / m) / max(error, 1e-12)))

    @property
    def _upper(self) -> float:
        return 1 - (1 - self.confidence) / 2

    def _units(self, inside: Bools) -> int:
        return int(inside.sum()) if self.group is None else len(np.unique(self.group[inside]))

    def _error(self, inside: Bools) -> float:
        """Return the standard error of the mean of some samples, groups taken as a whole."""
        values = self.values[inside]
        apart = values - values.mean()
        if self.group is not None:
            _, unit = np.unique(self.group[inside], return_inverse=True)
            apart = np.bincount(unit, apart)
        g = len(apart)
        if g < 2:
            return float("inf")
        return float(np.sqrt((apart**2).sum() * g / (g - 1)) / len(values))
