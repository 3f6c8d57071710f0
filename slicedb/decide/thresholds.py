"""Find the cheapest threshold: its interval, its cost without optimism, its excess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.decide import smoothed
from slicedb.decide.crossfit import CrossFit, cross_fit, mean_cost
from slicedb.decide.curve import Curve, arrays_of, in_runs, readable, sweep
from slicedb.metrics.outcomes import Floats
from slicedb.stats import Interval
from slicedb.stats.intervals import tail

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


@dataclass(frozen=True)
class Threshold:
    """The cheapest threshold and what it costs."""

    value: float
    """Decide yes where score >= value; a short number inside its gap of scores; inf: never."""
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
    exact: float
    """The cut of least cost on these samples, which jumps from sample to sample. `value` is where
    a smooth curve of the savings crosses zero, unless held-out samples pay more there."""
    excess: float = float("nan")
    """What `value` is expected to cost above the best threshold there is; NaN: too few samples."""
    excess_low: float = float("nan")
    """Lower bound."""
    excess_high: float = float("nan")
    """Upper bound."""

    @property
    def is_smoothed(self) -> bool:
        """Whether `value` is another cut than `exact`."""
        return self.value != self.exact

    def __str__(self) -> str:
        text = (
            f"{self.value:g} [{self.low:.4g} to {self.high:.4g}], held-out cost "
            f"{self.cost_held_out:.4g} [{self.cost_low:.4g} to {self.cost_high:.4g}]"
        )
        if self.excess != self.excess:
            return text
        return (
            f"{text}, {self.excess:.2g} [{self.excess_low:.2g} to {self.excess_high:.2g}] above "
            "the best threshold there is"
        )


@dataclass(frozen=True, eq=False)
class Solution:
    """The cheapest threshold, and what it was found with."""

    threshold: Threshold
    curve: Curve
    held_out: CrossFit


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

    The cut of least cost on the samples (`exact`) jumps from one to the next. `value` is smoothed
    (`slicedb.decide.smoothed`) wherever held-out samples do not pay more for it. The minimum of a
    curve flatters; the mean over samples that did not choose their threshold does not. Its
    interval is Student's.

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
    s, y, n = arrays_of(score, yes, no)
    curve = sweep(s, y, n)
    bounds = threshold_interval(s, y, n, confidence=confidence)
    seen, fitted, at = (
        smoothed.votes(s, y, n),
        cross_fit(s, y, n, folds=folds, seed=seed),
        curve.best,
    )
    if seen is not None:
        smooth = cross_fit(s, y, n, folds=folds, seed=seed, seen=seen)
        if _is_no_dearer(smooth.cost - fitted.cost):
            fitted, at = smooth, curve.at(seen.threshold())
    value = readable(curve, at)
    excess = (float("nan"),) * 3 if seen is None else smoothed.excess(seen, value, confidence, seed)
    mean, low, high = mean_cost(fitted.cost, confidence, fitted.choice_error)
    best = Threshold(
        value,
        min(float(bounds.low), value),
        max(float(bounds.high), value),
        float(curve.cost[at]),
        mean,
        low,
        high,
        len(s),
        readable(curve, curve.best),
        *excess,
    )
    return Solution(best, curve, fitted)


def _is_no_dearer(more: Floats) -> bool:
    """Return whether held-out samples (n,) pay no more, but for a standard error."""
    return bool(more.mean() <= more.std() / len(more) ** 0.5)


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
    s, y, n = arrays_of(score, yes, no)
    size = len(s)
    _, _, ordered, _ = in_runs(s)
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
