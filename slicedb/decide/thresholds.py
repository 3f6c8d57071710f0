"""Find the cheapest threshold: every cut point at once, its interval, its cost without optimism.

Whoever decides "yes" from a score pays `yes[i]` for sample i, and `no[i]` for deciding "no".
False positives, false negatives, costs of single samples and the cost of asking a person are all
of this shape. The rule is `score >= threshold`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.errors import SliceError
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.stats import Interval
from slicedb.stats.intervals import tail
from slicedb.stats.skewed import equal_interval

_CHERNOFF = np.array(
    [
        [0.5, 0.0],
        [0.8, 0.439],
        [0.9, 0.664235],
        [0.95, 0.845081],
        [0.975, 0.998181],
        [0.99, 1.171530],
        [0.995, 1.286659],
        [0.999, 1.516664],
    ]
)
"""Quantiles of argmax(W(t) - t^2) (Groeneboom & Wellner, J. Comp. Graph. Stat. 2001)."""

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
class Curve:
    """The mean cost at every cut point, from "never yes" down to "always yes"."""

    threshold: Floats
    """float64 (k,): falling; infinity first, then every distinct score."""
    n_yes: Ints
    """int64 (k,): samples at or above the threshold."""
    cost: Floats
    """float64 (k,): mean cost per sample."""

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.n_yes[-1])

    @property
    def best(self) -> int:
        """Index of the cheapest cut; of several the one with the fewest "yes"."""
        return int(np.argmin(self.cost))

    @property
    def saving(self) -> Floats:
        """float64 (k,): saving per sample against the better of never and always (profit)."""
        return np.asarray(min(self.cost[0], self.cost[-1]) - self.cost)

    def to_arrow(self) -> pa.Table:
        """Return one row per cut point."""
        share = self.n_yes / self.n
        return pa.table(
            {
                "threshold": self.threshold,
                "n_yes": self.n_yes,
                "share_yes": share,
                "cost": self.cost,
                "saving": self.saving,
            }
        )

    def __str__(self) -> str:
        at = self.best
        return (
            f"{len(self.cost):,} cut points of {self.n:,} samples; cheapest at "
            f"{readable(self, at):g}: {self.cost[at]:.4g} per sample"
        )


@dataclass(frozen=True)
class Threshold:
    """The cheapest threshold and what it costs."""

    value: float
    """Decide yes where score >= value; a short number inside the optimal gap; inf: never."""
    low: float
    """Lower bound of the population's cheapest threshold."""
    high: float
    """Upper bound."""
    cost: float
    """Mean cost at `value` on the samples that it was chosen on: optimistic."""
    cost_held_out: float
    """Mean cost when every sample is decided by a threshold chosen without it."""
    cost_low: float
    """Lower bound of the cost held out."""
    cost_high: float
    """Upper bound."""
    n: int
    """Number of samples."""
    steady: float = float("nan")
    """Where a line through the savings around `value` says that a yes stops paying: varies less
    from sample to sample than the exact optimum; NaN where no line can be fitted."""

    def __str__(self) -> str:
        return (
            f"{self.value:g} [{self.low:.4g} to {self.high:.4g}], held-out cost "
            f"{self.cost_held_out:.4g} [{self.cost_low:.4g} to {self.cost_high:.4g}]"
        )


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


@dataclass(frozen=True, eq=False)
class Solution:
    """The cheapest threshold, and what it was found with."""

    threshold: Threshold
    curve: Curve
    held_out: CrossFit


def sweep(score: npt.ArrayLike, yes: npt.ArrayLike, no: npt.ArrayLike) -> Curve:
    """Return the cost at every cut point, by one sort.

    Args:
        score: float (n,); equal scores share a cut.
        yes: float (n,): cost of deciding yes.
        no: float (n,): cost of deciding no.

    Raises:
        SliceError: there are no samples, or a score is NaN.

    >>> curve = sweep([0.9, 0.8, 0.2], yes=[0, 1, 1], no=[5, 0, 0])
    >>> curve.cost.round(2).tolist(), curve.threshold[curve.best].item()
    ([1.67, 0.0, 0.33, 0.67], 0.9)
    """
    s, y, n = _arrays(score, yes, no)
    _, ends, ordered, values = _sorted(s)
    steps = np.cumsum((y - n)[ordered])[ends]
    cost = (n.sum() + np.concatenate([[0.0], steps])) / len(s)
    return Curve(np.append(np.inf, values), np.append(0, ends + 1), cost)


def best_threshold(
    score: npt.ArrayLike,
    yes: npt.ArrayLike,
    no: npt.ArrayLike,
    *,
    folds: int = 10,
    confidence: float = 0.95,
    seed: int = 0,
) -> Threshold:
    """Return the cheapest threshold with its interval, and its cost estimated by cross-fitting.

    The minimum of a curve flatters; the mean over samples that did not choose their threshold
    does not. Its interval is Student's.

    Args:
        score: float (n,).
        yes: float (n,): cost of deciding yes.
        no: float (n,): cost of deciding no.
        folds: parts of the cross-fit.
        confidence: of both intervals.
        seed: of the folds.

    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> sick = rng.random(5000) < p
    >>> best = best_threshold(p, yes=~sick * 1.0, no=sick * 4.0)
    >>> best.low < 0.2 < best.high  # 1 / (1 + 4)
    True
    """
    return solve(score, yes, no, folds=folds, confidence=confidence, seed=seed).threshold


def solve(
    score: npt.ArrayLike,
    yes: npt.ArrayLike,
    no: npt.ArrayLike,
    *,
    folds: int = 10,
    confidence: float = 0.95,
    seed: int = 0,
) -> Solution:
    """Return `best_threshold`, `sweep` and `cross_fit` of the same costs."""
    s, y, n = _arrays(score, yes, no)
    curve = sweep(s, y, n)
    bounds = threshold_interval(s, y, n, confidence=confidence)
    fitted = cross_fit(s, y, n, folds=folds, seed=seed)
    mean, low, high = mean_cost(fitted.cost, confidence, fitted.choice_error)
    value = readable(curve, curve.best)
    best = Threshold(
        value,
        min(float(bounds.low), value),
        max(float(bounds.high), value),
        float(curve.cost[curve.best]),
        mean,
        low,
        high,
        len(s),
        steady_threshold(s, y, n, curve),
    )
    return Solution(best, curve, fitted)


def cross_fit(
    score: npt.ArrayLike,
    yes: npt.ArrayLike,
    no: npt.ArrayLike,
    *,
    folds: int = 10,
    repeats: int = 4,
    seed: int = 0,
) -> CrossFit:
    """Decide each sample by the threshold that is cheapest on the other folds.

    One sort serves all folds. Around the optimum the cost of the chosen threshold varies in
    proportion to the optimism of the curve's minimum; `_CHOICE` derives the factor.
    """
    s, y, n = _arrays(score, yes, no)
    _, ends, ordered, values = _sorted(s)
    gain = (y - n)[ordered]
    levels = np.append(np.inf, values)
    n_yes, thresholds = np.zeros(len(s)), []
    for repeat in range(repeats):
        part = fold_of(len(s), folds, seed + repeat)
        where = part[ordered]
        chosen = np.empty(int(part.max()) + 1)
        for fold in range(len(chosen)):
            steps = np.cumsum(np.where(where == fold, 0.0, gain))[ends]
            chosen[fold] = levels[np.argmin(np.append(0.0, steps))]
        n_yes += s >= chosen[part]
        thresholds.append(chosen)
    share = n_yes / repeats
    cost = share * y + (1 - share) * n
    smallest = (n.sum() + min(0.0, float(np.cumsum(gain)[ends].min()))) / len(s)
    optimism = max(0.0, float(cost.mean()) - smallest)
    return CrossFit(cost, share, np.concatenate(thresholds), _CHOICE * optimism)


def threshold_interval(
    score: npt.ArrayLike,
    yes: npt.ArrayLike,
    no: npt.ArrayLike,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the interval of the population's cheapest threshold.

    The optimum converges with the cube root of n, where the bootstrap is wrong (Abrevaya & Huang,
    Econometrica 2005); its law is Chernoff's (Kim & Pollard, Annals of Statistics 1990), scaled by
    the spread and the slope of `no - yes` around the cut. Both are read off a line through the
    neighbours, in ranks, so that the scale of the scores does not matter.

    Returns:
        thresholds; the whole range of scores where the slope is not distinguishable from none.
    """
    s, y, n = _arrays(score, yes, no)
    size = len(s)
    _, _, ordered, _ = _sorted(s)
    gain = (n - y)[ordered]  # what a yes saves, by falling score
    curve = sweep(s, y, n)
    centre = float(curve.n_yes[curve.best]) / size
    half = _rank_half_width(gain, centre, confidence)
    low, high = np.clip([centre - half, centre + half], 0.0, 1.0)
    falling = s[ordered]
    first, last = int(np.floor(low * size)), int(np.ceil(high * size))
    upper = np.inf if first == 0 else falling[first - 1]
    lower = falling[min(last, size) - 1] if last > 0 else falling[0]
    return Interval(np.float64(lower), np.float64(upper))  # type: ignore[arg-type]


def steady_threshold(s: Floats, y: Floats, n: Floats, curve: Curve) -> float:
    """Return where the local line of savings crosses zero, as a score; NaN where there is none.

    Smoothing what the exact optimum jumps over brings the rate from n^(-1/3) to n^(-2/5)
    (Horowitz, "A Smoothed Maximum Score Estimator", Econometrica 1992).
    """
    _, _, ordered, _ = _sorted(s)
    size, falling = len(s), s[ordered]
    centre = float(curve.n_yes[curve.best]) / size
    line = _line((n - y)[ordered], centre)
    if line is None:
        return float("nan")
    place = float(np.clip(centre - line.level / line.slope, 0, 1)) * size - 0.5
    return float(np.interp(place, np.arange(size), falling))


@dataclass(frozen=True)
class _Line:
    """Savings of a yes around the cut, against the rank as a share of all samples."""

    level: float
    """At the cut."""
    slope: float
    """Negative: a yes saves less as the score falls."""
    spread: float
    """Root mean square of the savings."""


def _line(gain: Floats, centre: float) -> _Line | None:
    """Return the local line of savings (n,), by falling score; None where it has no clear slope."""
    size = len(gain)
    place = (np.arange(size) + 0.5) / size - centre
    width = 0.75 * size**-0.2
    inside = np.abs(place) <= width
    if inside.sum() < 8:
        return None
    x, d = place[inside], gain[inside]
    weight = 1 - (x / width) ** 2  # Epanechnikov
    design = np.stack([np.ones_like(x), x], axis=1)  # (m, 2)
    moment = design.T @ (design * weight[:, None])
    if np.linalg.cond(moment) > 1e12:
        return None
    level, slope = np.linalg.solve(moment, design.T @ (weight * d))
    rest = d - level - slope * x
    inverse = np.linalg.inv(moment)
    error = np.sqrt((inverse @ (design.T * (weight * rest) ** 2) @ design @ inverse)[1, 1])
    if -slope <= error:  # a yes must save less as the score falls
        return None
    spread = np.sqrt((weight * d**2).sum() / weight.sum())
    return _Line(float(level), float(slope), float(spread))


def _rank_half_width(gain: Floats, centre: float, confidence: float) -> float:
    """Return the half width, as a share of all samples, of the interval of the cut's place."""
    level = 1 - tail(confidence, 2)
    # the tail falls with exp(-2/3 z^3), so that z is near linear in log(tail)
    z = float(np.interp(-np.log1p(-level), -np.log1p(-_CHERNOFF[:, 0]), _CHERNOFF[:, 1]))
    line = _line(gain, centre)
    if line is None:
        return 1.0
    return float(z * (2 * line.spread / (-line.slope * np.sqrt(len(gain)))) ** (2 / 3))


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


def readable(curve: Curve, at: int) -> float:
    """Return the shortest number that cuts where the curve's cut does, in float32 too.

    >>> readable(sweep([0.91237, 0.11111], [0, 1], [1, 0]), 1)
    0.5
    """
    high = float(curve.threshold[at])
    if at == 0:
        return high
    if at + 1 == len(curve.threshold):
        return 0.0 if high >= 0 else high
    low = float(curve.threshold[at + 1])
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        tried = round(middle, digits)
        if low < tried <= high and low < float(np.float32(tried)) <= high:
            return tried
    return high


def _arrays(
    score: npt.ArrayLike, yes: npt.ArrayLike, no: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    s = np.asarray(score, np.float64)
    if not s.size:
        raise SliceError("There are no samples to choose a threshold on.", "widen the slice.")
    if np.isnan(s).any():
        raise SliceError(f"{int(np.isnan(s).sum()):,} scores are NaN.", "leave those samples out.")
    y, n = (np.broadcast_to(np.asarray(v, np.float64), s.shape) for v in (yes, no))
    return s, y, n


def _sorted(score: Floats) -> tuple[int, Ints, Ints, Floats]:
    """Return n, the last place of each run of equal scores, the order, the distinct scores."""
    ordered = np.argsort(-score, kind="stable")
    falling = score[ordered]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(score) - 1)
    return len(score), ends, ordered, falling[ends]
