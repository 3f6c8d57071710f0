"""Smooth what a yes saves along the score, and read the threshold and its excess off the curve.

The exact optimum of n samples jumps from one sample to the next: what it costs above the best
threshold falls with n^(-2/3) only (Kim & Pollard 1990). Where a yes pays is a question of one sign,
so a weighted logistic regression answers it: each sample votes with what it saves, for yes or for
no, and the log-odds of the vote are a natural cubic spline of the score's log-odds, shrunk towards
a straight line. The cheapest threshold is where the spline crosses zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import expit, logit

from slicedb.metrics.outcomes import Floats, Ints

Penalty: TypeAlias = tuple[float, float, float, float]

_CELLS = 400
"""Runs of neighbouring scores that are taken together, so that a fit costs the same for any n."""
_KNOTS = (0.1, 0.35, 0.65, 0.9)
"""Quantiles of the scores where the spline bends."""
_SHRINK = (1e-9, 0.01, 2.0, 2.0)
"""Penalties on the squares of the coefficients: level, slope, bends; in votes."""
_LOOSE = (1e-9, 0.01, 0.3, 0.3)
"""The same for what is not known of the curve, which is not to be shrunk away."""
_FREE = 6
"""Degrees of freedom of the draws: the normal law of the coefficients has too light tails."""
_FEWEST = 5
"""Samples of either vote without which nothing is smoothed."""
_NEAR_ONE = 1e-6
_STEPS = 40
_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Votes:
    """What n samples say for and against a yes, in k cells of neighbouring scores."""

    score: Floats
    """float64 (k,): mean score of a cell, rising."""
    basis: Floats
    """float64 (k, 4): level, slope and bends of the spline."""
    cell: Ints
    """int64 (n,): the cell of each sample."""
    saves: Floats
    """float64 (n,): what a yes saves each sample, in units of the mean size."""
    unit: float
    """That mean size."""

    def counts(self, part: Ints | None = None) -> Floats:
        """Return float64 (f, 4, k): votes for yes and no by fold and cell, and their squares.

        Args:
            part: int64 (n,), the fold of each sample; None is one of all.
        """
        k, f = len(self.score), 1 if part is None else int(part.max()) + 1
        at = self.cell if part is None else part * k + self.cell
        sides = (np.maximum(self.saves, 0), np.maximum(-self.saves, 0))
        sums = [np.bincount(at, v, f * k) for side in (sides, [v**2 for v in sides]) for v in side]
        return np.stack(sums).astype(float).reshape(4, f, k).transpose(1, 0, 2)

    def threshold(self) -> float:
        """Return the smoothed threshold; infinity where a yes never pays."""
        counts = self.counts()[0]
        return crossing(self, fitted(self.basis, counts), counts)

    def thresholds(self, part: Ints) -> Floats:
        """Return float64 (f,): the threshold of the samples outside each fold."""
        by_fold = self.counts(part)
        every = by_fold.sum(axis=0)
        start = fitted(self.basis, every)
        rest = (every - own for own in by_fold)
        return np.array([crossing(self, fitted(self.basis, r, start), r) for r in rest])


def votes(score: Floats, yes: Floats, no: Floats) -> Votes | None:
    """Return the votes of n samples; None where there are too few to smooth.

    Args:
        score: float64 (n,).
        yes: float64 (n,): cost of deciding yes.
        no: float64 (n,): cost of deciding no.
    """
    saves = no - yes
    if min(int((saves > 0).sum()), int((saves < 0).sum())) < _FEWEST:
        return None
    levels, cell = _cells(score)
    if len(levels) < len(_KNOTS):
        return None
    weight = np.bincount(cell, minlength=len(levels)).astype(float)
    basis = _spline(_log_odds(levels), weight)
    unit = float(np.abs(saves).mean())
    return Votes(levels, basis, cell, saves / unit, unit)


def _log_odds(score: Floats) -> Floats:
    """Return the log-odds of scores that may be probabilities, or minus some; else as they are."""
    sign = -1.0 if score[-1] <= 0 else 1.0
    p = np.abs(score)
    if p.max() > 1 or (sign * score).min() < 0:
        return score
    return np.asarray(sign * logit(np.clip(p, _NEAR_ONE, 1 - _NEAR_ONE)))


def _cells(score: Floats) -> tuple[Floats, Ints]:
    """Return the mean score of each cell, rising, and the cell of each sample."""
    order = np.argsort(score, kind="stable")
    rising = score[order]
    starts = np.append(True, rising[1:] != rising[:-1])
    if starts.sum() > _CELLS:  # equal scores stay together
        runs = np.flatnonzero(starts)
        which = (runs * _CELLS) // len(score)
        starts[:] = False
        starts[runs[np.append(True, which[1:] != which[:-1])]] = True
    cell = np.empty(len(score), np.int64)
    cell[order] = np.cumsum(starts) - 1
    return np.bincount(cell, score) / np.bincount(cell), cell


def _spline(x: Floats, weight: Floats) -> Floats:
    """Return the natural cubic spline basis (Hastie, Tibshirani & Friedman 2009, eq. 5.4)."""
    mean = np.average(x, weights=weight)
    x = (x - mean) / max(float(np.sqrt(np.average((x - mean) ** 2, weights=weight))), 1e-12)
    place = np.cumsum(weight) / weight.sum()
    knots = np.interp(_KNOTS, place, x)

    def bend(j: int) -> Floats:
        cubes = np.maximum(x - knots[j], 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3
        return np.asarray(cubes / max(knots[-1] - knots[j], 1e-9))

    last = bend(len(knots) - 2)
    bends = [bend(j) - last for j in range(len(knots) - 2)]
    return np.stack([np.ones_like(x), x] + [b / max(float(b.std()), 1e-9) for b in bends], axis=1)


def fitted(
    basis: Floats, counts: Floats, start: Floats | None = None, shrink: Penalty = _SHRINK
) -> Floats:
    """Return the coefficients of greatest penalised likelihood, by Newton's steps.

    Args:
        basis: float64 (k, d).
        counts: float64 (4, k), see `Votes.counts`.
        start: float64 (d,), where to begin.
    """
    total, penalty = counts[0] + counts[1], np.array(shrink)
    b = np.zeros(basis.shape[1]) if start is None else start
    for _ in range(_STEPS):
        p = expit(basis @ b)
        slope = basis.T @ (counts[0] - total * p) - penalty * b
        step = np.linalg.solve(_bend(basis, total, p, penalty), slope)
        size = float(np.abs(step).max())
        b = b + step * min(1.0, 3 / size if size else 1.0)  # a full step may go too far at first
        if size < 1e-6:
            break
    return b


def _bend(basis: Floats, total: Floats, p: Floats, shrink: Floats) -> Floats:
    return np.asarray((basis.T * (total * p * (1 - p))) @ basis + np.diag(shrink))


def crossing(seen: Votes, b: Floats, counts: Floats) -> float:
    """Return the threshold of least cost by the curve; infinity where a yes never pays."""
    z = seen.basis @ b
    saved = (counts[0] + counts[1]) * (2 * expit(z) - 1)
    above = np.append(np.cumsum(saved[::-1])[::-1], 0.0)
    at = int(np.argmax(above))
    if at == len(z):
        return float("inf")
    if at == 0:
        return float(seen.score[0])
    before, after = z[at - 1], z[at]
    part = -before / (after - before) if before < 0 < after else 0.5
    return float(seen.score[at - 1] + part * (seen.score[at] - seen.score[at - 1]))


def excess(
    seen: Votes, threshold: float, confidence: float, seed: int
) -> tuple[float, float, float]:
    """Return what a threshold costs above the best there is, per sample: mean, low, high.

    The curve is drawn anew as often as `_DRAWS` from the normal law of its coefficients (sandwich;
    White 1982); each draw has a best threshold of its own, and tells what the given one costs
    above it.

    Args:
        seen: the votes.
        threshold: what is used.
        confidence: of the interval.
        seed: of the draws.
    """
    counts = seen.counts()[0]
    b = fitted(seen.basis, counts, shrink=_LOOSE)
    total = counts[0] + counts[1]
    p = expit(seen.basis @ b)
    inverse = np.linalg.inv(_bend(seen.basis, total, p, np.array(_LOOSE)))
    squares = counts[2] * (1 - p) ** 2 + counts[3] * p**2
    spread = inverse @ ((seen.basis.T * squares) @ seen.basis) @ inverse
    rng = np.random.default_rng(seed)
    drawn = rng.multivariate_normal(np.zeros(len(b)), spread, _DRAWS, method="eigh")
    drawn = b + drawn * np.sqrt(_FREE / rng.chisquare(_FREE, (_DRAWS, 1)))
    saved = total * (2 * expit(drawn @ seen.basis.T) - 1)  # (draws, k)
    above = np.concatenate([np.cumsum(saved[:, ::-1], axis=1)[:, ::-1], np.zeros((_DRAWS, 1))], 1)
    at = int(np.searchsorted(seen.score, threshold))
    lost = (above.max(axis=1) - above[:, at]) * seen.unit / len(seen.cell)
    tail = (1 - confidence) / 2
    low, high = np.quantile(lost, [tail, 1 - tail])
    return float(lost.mean()), float(low), float(high)
