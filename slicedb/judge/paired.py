"""Evidence against a baseline: the same samples, predicted by both models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from slicedb import metrics as m
from slicedb import stats
from slicedb.judge.evidence import Evidence, Gains, Inputs
from slicedb.judge.pairs import Pair
from slicedb.judge.resampling import (
    REPLICATES,
    mean_by_group,
    replicates_of,
    resample,
    resampled,
)
from slicedb.judge.trials import Trial
from slicedb.keys import Keys
from slicedb.metrics import Metric
from slicedb.metrics.outcomes import Floats

_EQUAL = 1e-12
"""Variance over the square of the mean up to which differences are equal but for rounding."""

CARRIERS = 8
"""Samples that should carry the spread of a mean difference. A few large losses make the spread of
thirty differences all by themselves: with fewer, one-sided bounds at 95 % miss in up to 10 %. Then
the interval is Student's for so few samples, at a level `_STRICT` times as strict."""

_STRICT = 4.0

_PER_CLASS = 10
"""Samples of each class from which on resampled differences of averages over classes hold."""


def paired(trials: Sequence[Trial], inputs: Inputs) -> Iterator[Evidence]:
    """Yield the evidence for trials of one metric (of one class) against one baseline."""
    check, metric = trials[0].check, trials[0].metric
    assert metric is not None and check.baseline is not None
    pair = inputs.pair(check.baseline)
    code = pair.a.classes.index(check.of) if check.of is not None else None
    members = pair.members([t.scope.rows for t in trials])
    d = pair.differences(metric, check.of)
    missing = pair.missing(metric)
    for trial, positions in zip(trials, members.positions):
        if code is not None and d is not None:
            positions = positions[pair.a.positive(code)[positions]]
        n = len(positions)
        # other classes are not left out, they are not asked for
        left_out = len(trial.scope.keys) - n if code is None else 0
        evidence = Evidence(trial=trial, n=n, left_out=left_out, rows=pair.rows[positions])
        if missing or not n:
            reason = missing or "no sample was seen by both models"
            yield replace(evidence, undefined=reason)
            continue
        groups = inputs.groups(trial.group)
        if groups is not None:
            evidence = replace(evidence, groups=groups[evidence.rows])
        # of a share in which ties count by halves, the differences are not those of right and wrong
        counted = d is not None and _is_share(metric) and _is_whole(d[positions])
        if d is not None and counted:
            gains = Gains(d[positions], pair.right_by(metric, check.of))
            evidence = replace(evidence, gains=gains)
        if metric.influence is not None and groups is None:
            yield _by_influence(evidence, metric, pair, positions, code, inputs.confidence)
        elif d is None or groups is not None:
            yield _by_bootstrap(evidence, metric, pair, positions, d, code, inputs.confidence)
        elif counted:
            yield _by_counts(evidence, d[positions], inputs.confidence)
        else:
            yield _by_means(evidence, metric, d[positions], inputs.confidence)


def _by_counts(evidence: Evidence, d: Floats, confidence: float) -> Evidence:
    better, worse, n = int((d > 0).sum()), int((d < 0).sum()), len(d)
    value, margin = (better - worse) / n, evidence.trial.check.margin
    low, high = stats.paired_interval(better, worse, n, confidence, sides=1)
    if margin == 0:
        p = stats.mcnemar(better, worse, "less")
    else:
        p = stats.noninferiority_p(better, worse, n, margin, "less")
    p_pass = stats.noninferiority_p(better, worse, n, margin, "greater")
    return replace(
        evidence, value=value, low=float(low), high=float(high), p=float(p), p_pass=float(p_pass)
    )


def _by_means(evidence: Evidence, metric: Metric, d: Floats, confidence: float) -> Evidence:
    trial, n, value = evidence.trial, len(d), float(d.mean())
    gap = d - value
    squares, cubes, fourth = (float((gap**k).sum()) for k in (2, 3, 4))
    evidence = replace(evidence, value=value, is_approximate=True)
    if squares <= _EQUAL * n * value**2:
        return _by_equals(evidence, metric, confidence)
    error = np.sqrt(squares / (n * (n - 1))) if n > 1 else np.nan
    carriers = squares**2 / fourth
    if carriers >= CARRIERS:
        # differences have two tails, and few samples do not show both: the wider answer is taken
        skews, units = np.array([0.0, float(stats.skewness(0.0, squares, cubes, n))]), float(n)
        strict = 1.0
    else:
        skews, units, strict = np.zeros(1), carriers, _STRICT
        evidence = replace(evidence, carriers=carriers)
    level = 1 - (1 - confidence) / strict
    low, high = stats.skewed_interval(value, error, skews, units, level, sides=1)
    p, p_pass = (
        min(
            1.0, strict * float(stats.skewed_p(value, error, skews, units, trial.bound, side).max())
        )
        for side in trial.sides
    )
    return replace(evidence, low=float(low.min()), high=float(high.max()), p=p, p_pass=p_pass)


def _by_equals(evidence: Evidence, metric: Metric, confidence: float) -> Evidence:
    """Compare models whose differences are all the same.

    Models that say the same of every sample are taken for one model.
    """
    (least, most), n, trial = metric.range, evidence.n, evidence.trial
    span = (least - most, most - least) if evidence.value else (0.0, 0.0)
    low, high = stats.equal_interval(evidence.value, n, span, 1 - confidence)
    p, p_pass = (
        float(stats.equal_p(evidence.value, n, span, trial.bound, side)) for side in trial.sides
    )
    return replace(evidence, low=float(low), high=float(high), p=p, p_pass=p_pass)


def _by_influence(
    evidence: Evidence,
    metric: Metric,
    pair: Pair,
    positions: Keys,
    code: int | None,
    confidence: float,
) -> Evidence:
    """Compare two areas by what each sample adds to the error of both (DeLong et al. 1988)."""
    from scipy.special import ndtr

    assert metric.influence is not None
    trial, (of_a, of_b) = evidence.trial, (o.take(positions) for o in (pair.a, pair.b))
    a, b = (metric.influence(metric.name, o, code) for o in (of_a, of_b))
    if a is None or b is None:
        return replace(evidence, undefined=metric.undefined)
    value = a.value - b.value
    error = float(np.sqrt(((a.influence - b.influence) ** 2).sum()))
    half = stats.intervals.quantile(confidence, 1) * error
    if error == 0:  # no sample is ranked differently, but the next may be
        half = float(stats.paired_interval(0, 0, a.trials, confidence, sides=1).high)
    gap = value - trial.bound
    z = 0.0 if gap == 0 else gap / error if error else np.sign(gap) * np.inf
    return replace(
        evidence,
        value=value,
        low=max(value - half, -1.0),
        high=min(value + half, 1.0),
        p=float(ndtr(z if trial.rises else -z)),
        p_pass=float(ndtr(-z if trial.rises else z)),
        n=evidence.n if code is None else int(a.trials),
        enough=metric.minimum * (len(of_a.present_in(slice(None))) if code is None else 1),
    )


def _is_whole(d: Floats) -> bool:
    return bool((np.rint(d) == d).all())


def _is_share(metric: Metric) -> bool:
    return metric.interval == "share"


def _by_bootstrap(
    evidence: Evidence,
    metric: Metric,
    pair: Pair,
    positions: Keys,
    d: Floats | None,
    code: int | None,
    confidence: float,
) -> Evidence:
    """Resample the slice's common samples, or their groups, both models together."""
    if d is not None:
        statistic, units = mean_by_group(d[positions], evidence.groups)
    else:
        if metric.interval in ("root", "draws"):
            evidence = replace(evidence, enough=metric.minimum)
        elif metric.minimum and code is None:
            present = pair.a.present_in(positions)
            evidence = replace(evidence, enough=_PER_CLASS * len(present))
        bound = metric if code is None else m.for_class(metric, code)
        (a, units), (b, _) = (
            resampled(bound, outcomes.take(positions), evidence.groups)
            for outcomes in (pair.a, pair.b)
        )

        def statistic(weights: Floats) -> Floats:
            return np.asarray(a(weights) - b(weights))

    return resample(
        evidence,
        statistic,
        units,
        confidence,
        replicates=replicates_of(metric) if d is None else REPLICATES,
        undefined=metric.undefined,
        bias=metric.bias if d is None else 0.0,
        least=_least(metric, pair, positions, units, evidence.groups, confidence),
    )


def _least(
    metric: Metric, pair: Pair, positions: Keys, units: int, groups: Keys | None, confidence: float
) -> tuple[float, float] | None:
    """Return how far below and above a difference of shares its bounds lie at least.

    The bootstrap does not know of the samples that could have differed: where none does its
    interval has no width. So it is no narrower than Tango's of the samples (or groups) of which
    one model alone is right, which keeps its level with few of them.
    """
    if not _is_share(metric) or not units:
        return None
    better = worse = 0
    if metric.state.kind == "codes" and groups is None:
        d = pair.a.correct[positions].astype(int) - pair.b.correct[positions]
        better, worse = int((d > 0).sum()), int((d < 0).sum())
    low, high = stats.paired_interval(better, worse, units, confidence, sides=1)
    value = (better - worse) / units
    return value - float(low), float(high) - value
