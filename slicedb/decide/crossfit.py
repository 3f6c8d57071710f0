"""Decide each sample by a threshold that was chosen without it, and take the mean cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.decide.curve import arrays_of, in_runs
from slicedb.decide.smoothed import Votes
from slicedb.errors import SliceError
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.stats.intervals import tail
from slicedb.stats.skewed import equal_interval

_MEAN_DISTANCE, _MEAN_SQUARE = 0.41273655, 0.26355964
"""E|Z| and E[Z^2] of the same Z = argmax(W(t) - t^2) (the same paper, table 4)."""

_CHOICE = _MEAN_DISTANCE**0.5 / (4 * _MEAN_SQUARE)
"""Standard error from the choice of the threshold, as a share of the optimism: 0.609.

Near the optimum the cost of a threshold is a parabola plus the samples' Brownian motion (Kim &
Pollard 1990); scaled to W(t) - t^2, what the curve's minimum flatters by is W(Z), whose mean is
E[max + Z^2] = 4 E[Z^2], as E[max] = 3 E[Z^2] by scaling. A fold's own samples know nothing of the
threshold chosen without them, so the held-out mean strays by W at the distance |Z|: variance E|Z|.
"""


@dataclass(frozen=True, eq=False)
class CrossFit:
    """What each sample costs when its threshold was chosen without it."""

    cost: Floats
    """float64 (n,): averaged over the repeats."""
    yes: Floats
    """float64 (n,) in [0, 1]: the share of repeats that decide yes."""
    thresholds: Floats
    """float64 (repeats x folds,)."""
    choice_error: float
    """Standard error of the mean cost that comes from choosing the threshold, not the samples."""


def cross_fit(
    score: npt.ArrayLike,
    yes: npt.ArrayLike,
    no: npt.ArrayLike,
    *,
    folds: int = 10,
    repeats: int = 4,
    seed: int = 0,
    seen: Votes | None = None,
) -> CrossFit:
    """Decide each sample by the threshold that is chosen on the other folds.

    One sort serves all folds. Around the optimum the cost of the chosen threshold varies in
    proportion to the optimism of the curve's minimum; `_CHOICE` derives the factor, which is too
    large for a smoothed threshold.

    Args:
        score: float (n,).
        yes: float (n,): cost of deciding yes.
        no: float (n,): cost of deciding no.
        folds: parts.
        repeats: divisions into parts.
        seed: of the parts.
        seen: the votes of all samples, for smoothed thresholds; None takes the cheapest ones.
    """
    s, y, n = arrays_of(score, yes, no)
    _, ends, ordered, values = in_runs(s)
    gain = (y - n)[ordered]
    levels = np.append(np.inf, values)
    n_yes, thresholds = np.zeros(len(s)), []
    for repeat in range(repeats):
        part = fold_of(len(s), folds, seed + repeat)
        if seen is not None:
            chosen = seen.thresholds(part)
        else:
            chosen = _cheapest(part[ordered], gain, ends, levels)
        n_yes += s >= chosen[part]
        thresholds.append(chosen)
    share = n_yes / repeats
    cost = share * y + (1 - share) * n
    smallest = (n.sum() + min(0.0, float(np.cumsum(gain)[ends].min()))) / len(s)
    optimism = max(0.0, float(cost.mean()) - smallest)
    return CrossFit(cost, share, np.concatenate(thresholds), _CHOICE * optimism)


def _cheapest(where: Ints, gain: Floats, ends: Ints, levels: Floats) -> Floats:
    """Return float64 (folds,): the threshold of least cost on the samples outside each fold."""
    chosen = np.empty(int(where.max()) + 1)
    for fold in range(len(chosen)):
        steps = np.cumsum(np.where(where == fold, 0.0, gain))[ends]
        chosen[fold] = levels[np.argmin(np.append(0.0, steps))]
    return chosen


def mean_cost(
    cost: Floats,
    confidence: float = 0.95,
    choice_error: float = 0.0,
    span: tuple[float, float] | None = None,
) -> tuple[float, float, float]:
    """Return mean, lower and upper bound (Student's; NaN bounds below two samples).

    Args:
        cost: float64 (n,).
        confidence: of the interval.
        choice_error: a further standard error, independent of the samples'.
        span: the least and the largest cost that a sample can have. The bounds stay inside. Costs
            that are all equal have no spread, but do not prove that others are impossible.
    """
    from scipy.special import stdtrit

    size = len(cost)
    if not size:
        return float("nan"), float("nan"), float("nan")
    mean = float(cost.mean())
    if size < 2:
        return mean, float("nan"), float("nan")
    error = float(np.hypot(cost.std(ddof=1) / size**0.5, choice_error))
    half = -float(stdtrit(size - 1, tail(confidence, 2))) * error
    low, high = mean - half, mean + half
    if span is None:
        return mean, low, high
    if np.ptp(cost) == 0:
        equal = equal_interval(mean, size, span, tail(confidence, 2))
        low, high = min(low, float(equal.low)), max(high, float(equal.high))
    return mean, max(low, min(span[0], mean)), min(high, max(span[1], mean))


def fold_of(n: int, folds: int, seed: int) -> Ints:
    """Return int64 (n,): a fold for each sample, sizes equal up to one."""
    if folds < 2:
        raise SliceError(f"{folds} folds cannot be cross-fitted.", "use 2 or more.")
    part = np.arange(n) % min(folds, max(n, 1))
    return np.random.default_rng(seed).permutation(part)
