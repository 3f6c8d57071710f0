"""Compute metrics: outcomes and membership to sums, sums to estimates, estimates to intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from slicedb import stats
from slicedb.metrics.estimate import Estimate, accuracy
from slicedb.metrics.membership import Membership
from slicedb.metrics.metric import Metric
from slicedb.metrics.outcomes import Bools, Floats, Ints, TaskOutcomes
from slicedb.metrics.table import missing

_SHARD = 1 << 20
"""Rows whose statistics are made and summed at once."""
_CELLS = 50_000_000
"""Cells of confusion matrices beyond which slices are computed in blocks."""


_MANY = 1_000_000
"""Cells of a confusion matrix beyond which an accuracy is counted without one."""
_EQUAL = 1e-12
"""Variance over the square of the mean up to which values are equal but for rounding."""

_CROSSED = float(np.sqrt(1 + 2 / np.pi))
"""How much wider the error of a cross-fitted calibration error is where nothing is miscalibrated.
Each half of the samples serves the other, so that the two sums have the covariance E|a| E|b|."""

OneSided = Literal["less", "greater"]


def update(metric: Metric, outcomes: TaskOutcomes, members: Membership) -> Floats | Ints:
    """Return the sums of a metric's state, one row per slice; two parts merge by addition.

    Many rows are summed in shards, so that what a state makes of each row, and the membership as
    a matrix, are never held for all of them.

    Args:
        metric: not a ranked one, which has no sums.
        outcomes: n rows.
        members: s slices over the same n rows.

    Returns:
        int64 (s, c, c) for the confusion state, else float64 (s, d).
    """
    if outcomes.n <= _SHARD:
        return _sums(metric, outcomes, members)
    parts = (
        _sums(metric, outcomes.take(np.arange(start, stop)), members.between(start, stop))
        for start, stop in pairwise([*range(0, outcomes.n, _SHARD), outcomes.n])
    )
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def _sums(metric: Metric, outcomes: TaskOutcomes, members: Membership) -> Floats | Ints:
    rows = metric.state.rows(outcomes)
    if metric.state.kind == "codes":
        c = len(outcomes.classes)
        return members.count(np.asarray(rows), c * c).reshape(len(members), c, c)
    return members.sum(rows)


def compute(metric: Metric, sums: Floats | Ints) -> Estimate:
    """Return the estimates of all slices from their sums."""
    return metric.compute(sums)


def estimates(
    outcomes: TaskOutcomes, members: Membership, metrics: Iterable[Metric]
) -> dict[str, Estimate]:
    """Return the estimates of several metrics by name; metrics of equal state share its sums.

    A metric whose columns the outcomes lack gives NaN.
    """
    result: dict[str, Estimate] = {}
    sums: dict[str, Floats | Ints] = {}
    width = len(outcomes.classes) ** 2
    for metric in metrics:
        state = metric.state
        if missing(metric, outcomes):
            nan = np.full(len(members), np.nan)
            result[metric.name] = Estimate(nan, np.zeros(len(members)), nan)
        elif metric.compute is accuracy and width > _MANY:
            hit_or_miss = members.count(np.where(outcomes.correct, 0, 1), 4)
            result[metric.name] = compute(metric, hit_or_miss.reshape(-1, 2, 2))
        elif state.kind == "ranked":
            result[metric.name] = compute_ranked(metric, outcomes, members)
        elif state.kind == "codes" and len(members) * width > _CELLS:
            parts = (update(metric, outcomes, part) for _, part in members.blocks(width))
            result[metric.name] = Estimate.join([compute(metric, part) for part in parts])
        else:
            if state.name not in sums:
                sums[state.name] = update(metric, outcomes, members)
            result[metric.name] = compute(metric, sums[state.name])
    return result


def compute_ranked(metric: Metric, outcomes: TaskOutcomes, members: Membership) -> Estimate:
    """Return the estimates of a ranked metric, slice by slice."""
    parts = [metric.compute(metric.name, outcomes.take(rows)) for rows in members.positions]
    if not parts:
        return Estimate(np.empty(0), np.empty(0), np.empty(0))
    return Estimate.join(parts)


def interval(
    metric: Metric,
    estimate: Estimate,
    confidence: float = 0.95,
    *,
    sides: stats.intervals.Sides = 2,
    guarantee: bool = False,
) -> stats.Interval:
    """Return the interval of estimates.

    Args:
        metric: says how.
        estimate: its estimates.
        confidence: coverage wanted.
        sides: 1 makes each bound alone hold at `confidence`.
        guarantee: Clopper-Pearson in place of Wilson, for shares.
    """
    bounds = _KINDS[metric.interval].interval(estimate, confidence, sides, guarantee)
    if _is_signed(metric):
        bounds = _signed_interval(bounds, estimate, confidence, sides)
    # a normal interval may pass the end of what is possible, which says nothing
    bounds = stats.Interval(*(np.clip(end, *metric.range) for end in bounds))
    equal = _is_equal(metric, estimate)
    if not equal.any():
        return bounds
    tail = stats.intervals.tail(confidence, sides)
    low, high = stats.equal_interval(estimate.value, estimate.size, metric.range, tail)
    return stats.Interval(np.where(equal, low, bounds.low), np.where(equal, high, bounds.high))


def p_value(metric: Metric, estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    """Return one-sided p-values of estimates against a bound.

    Args:
        metric: says how.
        estimate: its estimates.
        bound: value under the null hypothesis.
        alternative: "less" seeks evidence that the true value lies below the bound.
    """
    p = _KINDS[metric.interval].p_value(estimate, bound, alternative)
    if _is_signed(metric):
        straight = _mean_p(estimate._replace(skew=None), bound, alternative)
        p = np.maximum(np.maximum(p, straight), _few_p(estimate, bound, alternative))
    equal = _is_equal(metric, estimate)
    if not equal.any():
        return p
    flat = stats.equal_p(estimate.value, estimate.size, metric.range, bound, alternative)
    return np.where(equal, flat, p)


def _is_equal(metric: Metric, estimate: Estimate) -> Bools:
    """Return where a mean is that of equal values, which say nothing of their spread.

    Where the estimate says how large an unseen value can be, its interval allows for it.
    """
    if metric.interval not in ("mean", "root"):
        return np.zeros(len(estimate.value), bool)
    with np.errstate(invalid="ignore"):
        equal = estimate.error**2 * estimate.size <= _EQUAL * estimate.value**2
    return np.asarray(equal if estimate.most is None else equal & np.isnan(estimate.most))


# --- a value that is known exactly ----------------------------------------------------------------


def _exact_interval(
    estimate: Estimate, confidence: float, sides: stats.intervals.Sides, guarantee: bool
) -> stats.Interval:
    return stats.Interval(estimate.value, estimate.value)


def _exact_p(estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    beyond = estimate.value < bound if alternative == "less" else estimate.value > bound
    return np.where(np.isnan(estimate.value), np.nan, np.where(beyond, 0.0, 1.0))


# --- a share of trials ----------------------------------------------------------------------------


def _share_interval(
    estimate: Estimate, confidence: float, sides: stats.intervals.Sides, guarantee: bool
) -> stats.Interval:
    method = stats.clopper_pearson if guarantee else stats.wilson
    trials = _trials(estimate)
    low, high = method(_successes(estimate), trials, confidence, sides=sides)
    if estimate.roof is not None:
        high = method(_successes(_raised(estimate)), trials, confidence, sides=sides).high
    return stats.Interval(low, high)


def _share_p(estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    start = _raised(estimate) if alternative == "less" else estimate
    return stats.proportion_p(_successes(start), _trials(estimate), bound, alternative)


def _raised(estimate: Estimate) -> Estimate:
    """Return the estimate without its bias downwards."""
    return estimate if estimate.roof is None else estimate._replace(value=estimate.roof)


def _trials(estimate: Estimate) -> Floats:
    return np.where(np.isnan(estimate.value), 0.0, estimate.size)


def _successes(estimate: Estimate) -> Floats:
    """Return value x size, whole where it is a count that a division made uneven."""
    k = np.where(np.isnan(estimate.value), 0.0, estimate.value * estimate.size)
    whole = np.rint(k)
    return np.where(np.abs(k - whole) < 1e-9 * np.maximum(1.0, k), whole, k)


# --- an area under a curve, by its influences on the scale of the logit ---------------------------


def _rank_interval(
    estimate: Estimate, confidence: float, sides: stats.intervals.Sides, guarantee: bool
) -> stats.Interval:
    """Return the interval of the logit, taken back (Qin & Hotilovac, Statist. Med. 2008).

    Where no sample is out of order the error is 0 and says nothing: there the interval is the
    binomial one of the samples that decide the area.
    """
    binomial = _share_interval(estimate, confidence, sides, guarantee)
    centre, start, error = _logit(estimate)
    half = stats.intervals.quantile(confidence, sides) * error
    with np.errstate(over="ignore"):
        low, high = 1 / (1 + np.exp(half - start)), 1 / (1 + np.exp(-half - centre))
    return stats.Interval(
        np.where(np.isnan(error), binomial.low, low), np.where(np.isnan(error), binomial.high, high)
    )


def _rank_p(estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    from scipy.special import ndtr

    binomial = _share_p(estimate, bound, alternative)
    if not 0 < bound < 1:
        return binomial
    centre, start, error = _logit(estimate)
    z = ((centre if alternative == "less" else start) - np.log(bound / (1 - bound))) / error
    return np.where(np.isnan(error), binomial, ndtr(z if alternative == "less" else -z))


def _logit(estimate: Estimate) -> tuple[Floats, Floats, Floats]:
    """Return the logits of value and floor, and their error, NaN where the area has none."""
    value = estimate.value
    inside = (value > 0) & (value < 1) & (estimate.error > 0)
    safe = np.where(inside, value, 0.5)
    error = np.where(inside, estimate.error / (safe * (1 - safe)), np.nan)
    low = np.clip(safe if estimate.floor is None else estimate.floor, 1e-12, 1 - 1e-12)
    low = np.where(inside, low, safe)
    return np.log(safe / (1 - safe)), np.log(low / (1 - low)), error


# --- a mean, by Hall's transformation of Student's t ----------------------------------------------


_CARRIERS = 15
"""Samples that should carry the spread of a mean. Squares with heavy tails have fewer: Hall's upper
bound of 100 of them misses in up to 10 %. Then the bound is at least Student's for so few samples,
at a level `_STRICT` times as strict, which misses in 4 to 6 %."""

_STRICT = 4.0


def _few_margin(estimate: Estimate, tail: float) -> Floats:
    """Return how far from the value a bound lies at least, 0 where enough samples carry it."""
    from scipy.special import stdtrit

    if estimate.carriers is None:
        return np.zeros_like(estimate.value)
    few = estimate.carriers < _CARRIERS
    df = np.where(few, np.maximum(estimate.carriers - 1, 1.0), 1.0)
    return np.where(few, -stdtrit(df, tail / _STRICT) * estimate.error, 0.0)


def _few_p(estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    """Return what p-values are at least, 0 where enough samples carry the spread."""
    from scipy.special import stdtr

    if estimate.carriers is None:
        return np.zeros_like(estimate.value)
    few = estimate.carriers < _CARRIERS
    df = np.where(few, np.maximum(estimate.carriers - 1, 1.0), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (estimate.value - bound) / estimate.error
    p = stdtr(df, t if alternative == "less" else -t)
    return np.where(few, np.minimum(_STRICT * p, 1.0), 0.0)


def _is_signed(metric: Metric) -> bool:
    """Return whether a mean is of values with two tails, which few samples do not both show."""
    return metric.interval == "mean" and metric.range[0] == float("-inf")


def _signed_interval(
    bounds: stats.Interval, estimate: Estimate, confidence: float, sides: stats.intervals.Sides
) -> stats.Interval:
    """Return the wider of the skewed and the straight interval, on each side."""
    straight = _mean_interval(estimate._replace(skew=None), confidence, sides, False)
    margin = _few_margin(estimate, stats.intervals.tail(confidence, sides))
    low = np.minimum(np.minimum(bounds.low, straight.low), estimate.value - margin)
    return stats.Interval(low, np.maximum(bounds.high, straight.high))


def _mean_interval(
    estimate: Estimate, confidence: float, sides: stats.intervals.Sides, guarantee: bool
) -> stats.Interval:
    value, size, error, floor, skew, most = (*estimate[:4], estimate.skew, estimate.most)
    tilt = np.zeros_like(value) if skew is None else skew
    low, high = stats.skewed_interval(value, error, tilt, size, confidence, sides=sides)
    if floor is not None:  # an error of calibration, which lies in [0, 1]
        down = np.maximum(floor - _CROSSED * (value - low), 0.0)
        return stats.Interval(down, np.minimum(high, 1.0))
    if most is not None:
        wide = stats.bounded_interval(value, size, most, confidence, sides=sides)
        low, high = np.fmin(low, wide.low), np.fmax(high, wide.high)
    margin = _few_margin(estimate, stats.intervals.tail(confidence, sides))
    return stats.Interval(low, np.maximum(high, value + margin))


def _mean_p(estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    value, size, error, floor, skew, most = (*estimate[:4], estimate.skew, estimate.most)
    start = value
    if floor is not None and alternative == "greater":
        start, error = floor, _CROSSED * error
    tilt = np.zeros_like(value) if skew is None else skew
    p = stats.skewed_p(start, error, tilt, size, bound, alternative)
    if most is not None:
        p = np.fmax(p, stats.bounded_p(value, size, most, bound, alternative))
    return np.maximum(p, _few_p(estimate, bound, alternative)) if alternative == "less" else p


# --- the root of a mean ---------------------------------------------------------------------------


def _squared(estimate: Estimate) -> Estimate:
    """Return the estimate of the mean whose root, with the error of a root, is given."""
    value = estimate.value
    return estimate._replace(value=value**2, error=2 * value * estimate.error)


def _root_interval(
    estimate: Estimate, confidence: float, sides: stats.intervals.Sides, guarantee: bool
) -> stats.Interval:
    low, high = _mean_interval(_squared(estimate), confidence, sides, guarantee)
    return stats.Interval(np.sqrt(np.maximum(low, 0.0)), np.sqrt(np.maximum(high, 0.0)))


def _root_p(estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    return _mean_p(_squared(estimate), np.sign(bound) * bound**2, alternative)


# --- a value with resamples -----------------------------------------------------------------------


def _draws_interval(
    estimate: Estimate, confidence: float, sides: stats.intervals.Sides, guarantee: bool
) -> stats.Interval:
    """Return the percentile interval of the draws that are defined."""
    tail = stats.intervals.tail(confidence, sides)
    edges = np.full((2, len(estimate.value)), np.nan)
    if estimate.draws is not None:
        known = ~np.isnan(estimate.draws).all(axis=1)
        edges[:, known] = np.nanquantile(estimate.draws[known], [tail, 1 - tail], axis=1)
    return stats.Interval(edges[0], edges[1])


def _draws_p(estimate: Estimate, bound: float, alternative: OneSided) -> Floats:
    assert estimate.draws is not None
    p = np.full(len(estimate.value), np.nan)
    for i in np.flatnonzero(~np.isnan(estimate.value)):
        draws = estimate.draws[i][~np.isnan(estimate.draws[i])]
        units = int(estimate.size[i])
        p[i] = stats.tail_p(draws, float(estimate.value[i]), bound, alternative, units)
    return p


class _Kind(NamedTuple):
    interval: Callable[[Estimate, float, stats.intervals.Sides, bool], stats.Interval]
    p_value: Callable[[Estimate, float, OneSided], Floats]


_KINDS = {
    "exact": _Kind(_exact_interval, _exact_p),
    "share": _Kind(_share_interval, _share_p),
    "rank": _Kind(_rank_interval, _rank_p),
    "mean": _Kind(_mean_interval, _mean_p),
    "root": _Kind(_root_interval, _root_p),
    "draws": _Kind(_draws_interval, _draws_p),
}
