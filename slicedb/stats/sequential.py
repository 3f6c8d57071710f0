"""Spend an error rate over looks at the same question, so that all verdicts together keep it.

Each look at growing data is another chance of a false verdict. The error rate is spent over the
looks (Lan & DeMets, Biometrika 1983): a look spends what its samples add to the share below, and
its level follows from the joint distribution of the standardised values at all looks, which for
samples that are added and not exchanged is that of a Brownian motion (Armitage, McPherson & Rowe,
JRSS A 1969). Neither the number of looks nor the last size has to be known. A look at unchanged
data spends nothing. Candidates that are tried on the same samples share the error rate, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from slicedb.stats.intervals import Floats

FIRST = 0.4
"""Share of the error rate that the first look spends."""

_NODES = 160
_FARTHEST = 6.0
"""Standard deviations below the mean at which the distribution is cut off."""

_STEP = 1.01
"""Growth from which on the distribution is carried on to the new size. Looks that are closer
together are compared with the one before them, which overlooks crossings in between: such a look
is a little too strict."""

_LOOKS = 60
"""Last sizes whose joint distribution is followed; what was spent before them counts as spent."""

_HALVINGS = 45


def spent(growth: float) -> float:
    """Return the share of the error rate that is spent when the first size has grown so much.

    What is left falls as standard errors do. Over 30 looks at 1 to 30 times the first samples that
    loses less power than shares that level off sooner or later.

    >>> round(spent(1), 3), round(spent(4), 3)
    (0.4, 0.7)
    """
    return 1.0 - (1.0 - FIRST) / float(np.sqrt(growth))


def share_of_candidate(place: int) -> float:
    """Return the share of the error rate that one of the candidates on the same samples gets.

    The shares 1/2, 1/6, 1/12, ... of any number of candidates add up to less than 1.

    >>> [round(share_of_candidate(place), 3) for place in (1, 2, 3)]
    [0.5, 0.167, 0.083]
    """
    return 1.0 / (place * (place + 1))


def level_of_look(sizes: Sequence[int], alpha: float) -> float:
    """Return the one-sided level of the last look, so that all looks together err in `alpha`.

    Args:
        sizes: samples at each look so far, rising; those of one look contain those of the last.
        alpha: chance that any of the looks errs, however many follow.

    >>> f"{level_of_look([100], 0.05):.4f} {level_of_look([100, 200, 400], 0.05):.4f}"
    '0.0200 0.0103'
    """
    return _level(tuple(sizes), alpha)


@lru_cache(maxsize=4096)
def _level(sizes: tuple[int, ...], alpha: float) -> float:
    from scipy.special import ndtr

    growth = np.asarray(sizes, float) / sizes[0]
    begin = max(0, len(sizes) - _LOOKS)
    total = alpha * spent(growth[begin])
    budget = total if begin == 0 else total - alpha * spent(growth[begin - 1])
    path = _Path(growth[begin], budget)
    for size in growth[begin + 1 :]:
        budget, total = alpha * spent(size) - total, alpha * spent(size)
        path.look(size, budget)
    return float(ndtr(-path.bound))


class _Path:
    """The distribution of the standardised value where no look has crossed its bound so far.

    Args:
        size: information at the first look.
        budget: chance that it crosses its bound.
    """

    def __init__(self, size: float, budget: float) -> None:
        from scipy.special import ndtri

        self.bound = float(-ndtri(budget))
        self._size = size
        self._at, weight = _nodes(self.bound)
        self._mass: Floats = weight * np.exp(-(self._at**2) / 2) / np.sqrt(2 * np.pi)

    def look(self, size: float, budget: float) -> None:
        """Find the bound that is crossed with chance `budget` at another size, and not before."""
        root = np.sqrt(self._size / size)
        spread = np.sqrt(1 - root**2)
        self.bound = self._crossed(root, spread, budget)
        if size < _STEP * self._size:
            return
        at, weight = _nodes(self.bound)
        kernel = np.exp(-(((at[:, None] - root * self._at) / spread) ** 2) / 2)
        density = kernel @ self._mass / (spread * np.sqrt(2 * np.pi))  # (k, k) @ (k,) -> (k,)
        self._at, self._mass, self._size = at, weight * density, size

    def _crossed(self, root: float, spread: float, budget: float) -> float:
        from scipy.special import ndtr

        low, high = 0.0, 2 * _FARTHEST
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            chance = (self._mass * ndtr((root * self._at - middle) / spread)).sum()
            low, high = (middle, high) if chance > budget else (low, middle)
        return high


@lru_cache(maxsize=1)
def _unit() -> tuple[Floats, Floats]:
    """Return the nodes and weights of Gauss and Legendre on [0, 1]."""
    at, weight = np.polynomial.legendre.leggauss(_NODES)
    return (at + 1) / 2, weight / 2


def _nodes(bound: float) -> tuple[Floats, Floats]:
    at, weight = _unit()
    width = bound + _FARTHEST
    return at * width - _FARTHEST, weight * width
