"""The bootstrap of metrics that have no formula, over samples or over whole groups of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from slicedb import stats
from slicedb.judge.evidence import Evidence
from slicedb.keys import Keys
from slicedb.metrics import Metric, TaskOutcomes, ratios
from slicedb.metrics.metric import Weighted
from slicedb.metrics.outcomes import Floats

REPLICATES = 2000
"""Resamples of a statistic that is one matrix product."""

RANKED_REPLICATES = 500
"""Resamples of a statistic of the order of the scores."""


def replicates_of(metric: Metric) -> int:
    """Return how many resamples a metric is given."""
    if metric.state.kind != "ranked":
        return REPLICATES
    return RANKED_REPLICATES if metric.weighted is None else ratios.REPLICATES


def codes_of(groups: Keys) -> Keys:
    """Return int64 (n,): each group as a number from 0 up, in the order of the groups."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    codes = np.empty(len(groups), np.int64)
    codes[order] = np.cumsum(np.append(False, ordered[1:] != ordered[:-1])[: len(groups)])
    return codes


def resampled(
    metric: Metric, outcomes: TaskOutcomes, groups: Keys | None = None
) -> tuple[Weighted, int]:
    """Return a metric as a function of weights, and the number of weights.

    Args:
        metric: the metric, bound to its class if it has one.
        outcomes: n rows.
        groups: int64 (n,): the group of each row; None puts each row in a group of its own.

    Returns:
        (weights float64 (b, g) -> values (b,), g), as `slicedb.stats.bootstrap` takes them.
    """
    n = outcomes.n
    code = np.arange(n) if groups is None else codes_of(groups)
    size = int(code.max()) + 1 if n else 0
    if metric.weighted is not None:
        weighted = metric.weighted(outcomes)
        return lambda weights: weighted(np.asarray(weights)[:, code]), size
    kinds = {"ranked": _ranked, "moments": _moments, "codes": _counts}
    return kinds[metric.state.kind](metric, outcomes, code, size), size


def _ranked(metric: Metric, outcomes: TaskOutcomes, code: Keys, size: int) -> Weighted:
    def values(weights: Floats) -> Floats:
        draws = (np.repeat(np.arange(outcomes.n), w.astype(int)) for w in weights[:, code])
        each = [metric.compute(metric.name, outcomes.take(rows)).value[0] for rows in draws]
        return np.array(each)

    return values


def _moments(metric: Metric, outcomes: TaskOutcomes, code: Keys, size: int) -> Weighted:
    from scipy import sparse

    n = len(code)
    groups = sparse.csr_matrix((np.ones(n), (code, np.arange(n))), shape=(size, n))
    sums = groups @ metric.state.rows(outcomes)  # (g, n) @ (n, d) -> (g, d)

    def values(weights: Floats) -> Floats:
        return np.asarray(metric.compute(np.asarray(weights @ sums)).value)

    return values


def _counts(metric: Metric, outcomes: TaskOutcomes, code: Keys, size: int) -> Weighted:
    from scipy import sparse

    c = len(outcomes.classes)
    cells, cell = np.unique(metric.state.rows(outcomes), return_inverse=True)
    ones = np.ones(len(code))
    counts = sparse.csr_matrix((ones, (code, cell)), shape=(size, len(cells)))
    step = max(1, 4_000_000 // (c * c))

    def values(weights: Floats) -> Floats:
        parts = []
        for start in range(0, len(weights), step):
            some = np.asarray(weights[start : start + step] @ counts)  # (b, g) @ (g, k) -> (b, k)
            matrix = np.zeros((len(some), c * c))
            matrix[:, cells] = some
            parts.append(metric.compute(matrix.reshape(-1, c, c)).value)
        return np.concatenate(parts)

    return values


def mean_by_group(values: Floats, groups: Keys | None) -> tuple[Weighted, int]:
    """Return the mean of a value per sample as a function of weights, and their number."""
    code = np.arange(len(values)) if groups is None else codes_of(groups)
    total, n = np.bincount(code, values), np.bincount(code).astype(float)
    return lambda weights: (weights @ total) / (weights @ n), len(n)


def resample(
    evidence: Evidence,
    statistic: Weighted,
    units: int,
    confidence: float,
    *,
    replicates: int,
    undefined: str,
    is_share: bool = False,
    bias: float = 0.0,
    least: tuple[float, float] | None = None,
) -> Evidence:
    """Return the evidence with its value and percentile bounds (Efron & Tibshirani 1993).

    Args:
        evidence: of the same samples.
        statistic: what is resampled.
        units: samples, or groups of samples that are drawn together.
        confidence: of each bound alone.
        replicates: resamples.
        undefined: why the value is NaN where it is.
        is_share: whether the value lies in [0, 1]; where no resample differs (all are right) its
            bounds are those of as many independent samples as there are units.
        bias: see `slicedb.metrics.ratios.recentred`.
        least: how far below and above the value the bounds lie at least.
    """
    value = float(statistic(np.ones((1, units)))[0]) if units else float("nan")
    evidence = replace(evidence, is_approximate=True, units=units, value=value)
    if np.isnan(value):
        return replace(evidence, undefined=undefined)
    draws = stats.bootstrap_draws(statistic, units, replicates=replicates)
    draws = ratios.recentred(draws[~np.isnan(draws)], value, bias, units)
    low, high = (float(x) for x in np.quantile(draws, [1 - confidence, confidence]))
    if low == high and is_share:
        exact = stats.clopper_pearson(value * units, units, confidence, sides=1)
        low, high = min(low, float(exact.low)), max(high, float(exact.high))
    if least is not None:
        low, high = min(low, value - least[0]), max(high, value + least[1])
    trial = evidence.trial
    p, p_pass = (stats.tail_p(draws, value, trial.bound, side, units) for side in trial.sides)
    return replace(evidence, low=low, high=high, p=p, p_pass=p_pass)
