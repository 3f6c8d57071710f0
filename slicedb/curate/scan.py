"""Find where one of two sets of samples is dense and the other is not: a population that is new.

Kulldorff's scan statistic ("A spatial scan statistic", 1997) over caps of the unit sphere: around
each of many centres the window grows by the next nearest sample, and the window with the largest
likelihood ratio wins. Its p-value compares it with the best window of permuted sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.curate.chance import Chance, p_of
from slicedb.curate.units import Ints
from slicedb.progress import SILENT, Bar

Floats = npt.NDArray[np.float64]

_MOST = 3000
"""Samples looked at of each set."""
_CENTRES = 250
_DRAWS = 199
_WIDEST = 0.4
"""The largest window, as a share of the samples looked at."""
_NAMED = 16
"""Samples whose mean is the middle of a window."""
_ROUNDS = 10
_SLACK = 2.0
"""Loss of log-likelihood for which a smaller window is taken: what lies at its rim says little."""
_FEWEST = 5
"""Samples of the second set in a window."""


@dataclass(frozen=True, eq=False)
class Window:
    """The cap of the sphere in which the second set is densest, compared with the first."""

    centre: Ints
    """int64 (k,): the rows of the samples whose mean direction is its middle."""
    cut: float
    """The least similarity with the middle."""
    n_a: int
    n_b: int
    """Samples in it, of those that were looked at."""
    looked_a: int
    looked_b: int
    """Samples that were looked at."""
    p: float
    """By permutation, over all windows."""


def densest(vectors: npt.NDArray[np.float32], chance: Chance, bar: Bar = SILENT) -> Window | None:
    """Return the window in which the second set is densest; None where there are too few samples.

    Args:
        vectors: float32 (n, d), unit length, without NaN.
        chance: which samples are in the second set.
        bar: given the number of windows' middles, and advanced by one for each.
    """
    rng = np.random.default_rng(chance.seed)
    rows = np.sort(
        np.concatenate(
            [
                side if len(side) <= _MOST else rng.choice(side, _MOST, replace=False)
                for side in (np.flatnonzero(~chance.is_b), np.flatnonzero(chance.is_b))
            ]
        )
    )
    x, is_b = vectors[rows], chance.is_b[rows]
    n, n_b = len(rows), int(is_b.sum())
    if n_b < 2 * _FEWEST or n - n_b < 2 * _FEWEST:
        return None
    centres = rng.choice(n, min(n, _CENTRES), replace=False)
    unit = np.arange(n) if chance.unit is None else chance.unit[rows]
    _, unit = np.unique(unit, return_inverse=True)
    drawn = Chance(is_b, unit, chance.seed, _DRAWS).labels()
    y = np.concatenate([is_b[:, None].astype(np.float64), *(part[unit] for part in drawn)], axis=1)
    best, (centre, size) = _best(x, centres, y, bar)
    p, named = p_of(best), np.array([centre])
    # The mean of several members is a better middle than any one of them.
    for _ in range(_ROUNDS):
        inside = _inside(x, named, size)[0]
        members = inside[is_b[inside]]
        near = np.argsort(-(x[members] @ x[members].mean(axis=0)), kind="stable")
        tried = np.sort(members[near[:_NAMED]])
        ratio, tried_size = _widest(x, _middle(x, tried), y[:, :1])
        if ratio[0] <= best[0]:
            break
        best[0], named, size = ratio[0], tried, int(tried_size[0])
    inside, cut = _inside(x, named, _tight(x, named, y[:, :1], size))
    in_b = int(is_b[inside].sum())
    return Window(rows[named], cut, len(inside) - in_b, in_b, n - n_b, n_b, p)


def _tight(x: npt.NDArray[np.float32], named: Ints, y: Floats, size: int) -> int:
    """Return the size of the smallest window that is nearly as likely as the best one."""
    order = np.argsort(-(x @ _middle(x, named)), kind="stable")[:size]
    ratio = _likelihood(np.cumsum(y[order], axis=0), y.sum(axis=0), len(x))[:, 0]
    return int(np.flatnonzero(ratio >= ratio[-1] - _SLACK)[0]) + 1


def _middle(x: npt.NDArray[np.float32], named: Ints) -> npt.NDArray[np.float32]:
    """Return float32 (d,), unit length: the mean direction of rows."""
    total = x[named].sum(axis=0)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def _inside(x: npt.NDArray[np.float32], named: Ints, size: int) -> tuple[Ints, float]:
    """Return the rows of a window, and the least similarity in it, rounded down to 4 digits."""
    similarity = x @ _middle(x, named)
    least = np.partition(similarity, len(x) - size)[len(x) - size]
    cut = float(np.floor(least * 1e4 - 0.5) / 1e4)  # stored vectors are of half precision
    return np.flatnonzero(similarity >= cut), cut


def _best(
    x: npt.NDArray[np.float32], centres: Ints, y: Floats, bar: Bar
) -> tuple[Floats, tuple[int, int]]:
    """Return the best ratio of each column of y; and centre and size of the first one's window."""
    best, at = np.full(y.shape[1], -np.inf), (int(centres[0]), _FEWEST)
    bar.total(len(centres))
    for centre in centres.tolist():
        bar.advance()
        ratio, size = _widest(x, x[centre], y)
        if ratio[0] > best[0]:
            at = (centre, int(size[0]))
        best = np.maximum(best, ratio)
    return best, at


def _widest(
    x: npt.NDArray[np.float32], middle: npt.NDArray[np.float32], y: Floats
) -> tuple[Floats, Ints]:
    """Return the largest likelihood ratio of the windows around a middle, and its window's size."""
    n = len(x)
    widest = max(_FEWEST, int(_WIDEST * n))
    similarity = x @ middle
    order = np.argpartition(-similarity, min(widest, n - 1))[:widest]
    order = order[np.argsort(-similarity[order], kind="stable")]
    inside = np.cumsum(y[order], axis=0)  # (w, k)
    ratio = _likelihood(inside, y.sum(axis=0), n)
    top = ratio.argmax(axis=0)
    return ratio[top, np.arange(len(top))], top + 1


def _likelihood(inside: Floats, total: Floats, n: int) -> Floats:
    """Return the log-likelihood ratio of windows that hold more of the second set than expected."""
    sizes = np.arange(1, len(inside) + 1)[:, None].astype(np.float64)
    rate = total / n

    def term(k: Floats, m: Floats) -> Floats:
        share = np.clip(k / m, 1e-12, 1 - 1e-12)
        return np.asarray(k * np.log(share) + (m - k) * np.log(1 - share))

    whole = total * np.log(rate) + (n - total) * np.log(1 - rate)
    ratio = term(inside, sizes) + term(total - inside, n - sizes) - whole
    is_dense = (inside / sizes > rate) & (inside >= _FEWEST)
    return np.where(is_dense, ratio, -np.inf)
