"""The table of metrics, and what is done with a row of it.

The rows here are for classifiers; `multilabel`, `detected` and `regression` have those of the
other tasks. A name such as `recall` means the row that suits what the model does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from slicedb import stats
from slicedb.errors import CheckError, did_you_mean
from slicedb.metrics import detected, multilabel, regression, states
from slicedb.metrics import estimate as e
from slicedb.metrics.estimate import Estimate
from slicedb.metrics.membership import Membership
from slicedb.metrics.metric import Metric
from slicedb.metrics.outcomes import Floats, Ints, Said
from slicedb.metrics.ranked import area


def _count(matrix: Ints) -> Estimate:
    n = matrix.sum(axis=(-2, -1)).astype(float)
    return Estimate(n, n, np.full_like(n, np.nan))


_EMPTY = "no sample has both a label and a prediction"
NO_SAMPLES = "the slice has no samples"
"""Why nothing can be said of an empty slice."""
_NO_LABEL = "no sample has the label"
_NEVER = "the class is never predicted"
_NEITHER = "the class is neither a label nor a prediction"
_ONE_KIND = "positives and negatives are both needed"

_C = states.CONFUSION
_ROWS = (
    Metric("count", _C, _count, "exact", _EMPTY),
    Metric("accuracy", _C, e.accuracy, "share", _EMPTY, per_class=e.recalls),
    Metric("balanced_accuracy", _C, e.average(e.recalls), "share", _EMPTY),
    Metric("precision", _C, e.average(e.precisions), "share", _NEVER, per_class=e.precisions),
    Metric("precision_micro", _C, e.accuracy, "share", _EMPTY),
    Metric("precision_weighted", _C, e.average(e.precisions, weighted=True), "share", _NEVER),
    Metric("recall", _C, e.average(e.recalls), "share", _NO_LABEL, per_class=e.recalls),
    Metric("recall_micro", _C, e.accuracy, "share", _EMPTY),
    Metric("recall_weighted", _C, e.accuracy, "share", _EMPTY),
    Metric("f1", _C, e.average(e.f1s), "share", _NEITHER, per_class=e.f1s),
    Metric("f1_micro", _C, e.accuracy, "share", _EMPTY),
    Metric("f1_weighted", _C, e.average(e.f1s, weighted=True), "share", _NEITHER),
    Metric("log_loss", states.LOG_LOSS, e.mean, "mean", _EMPTY, rises=False, is_mean=True),
    Metric("brier", states.BRIER, e.mean, "mean", _EMPTY, rises=False, is_mean=True),
    Metric("ece", states.CALIBRATION, e.calibration, "mean", _EMPTY, rises=False),
    Metric("auroc", states.RANKED, area, "share", _ONE_KIND, by_class=True),
    Metric("average_precision", states.RANKED, area, "share", _NO_LABEL, by_class=True),
)

METRICS: dict[str, Metric] = {m.name: m for m in _ROWS}
"""Every metric by its name; `top_<k>` comes on top for any k."""

ALIASES = {
    "acc": "accuracy",
    "top1": "accuracy",
    "top_1": "accuracy",
    "precision_macro": "precision",
    "recall_macro": "recall",
    "f1_macro": "f1",
    "macro_f1": "f1",
    "micro_f1": "f1_micro",
    "weighted_f1": "f1_weighted",
    "nll": "log_loss",
    "logloss": "log_loss",
    "roc_auc": "auroc",
    "ap": "average_precision",
    "n": "count",
}
"""Other words for the same."""

_TOP = re.compile(r"top[_-]?([1-9]\d*)(?:_accuracy)?")


_OTHERS: dict[str, Any] = {t.TASK: t for t in (multilabel, detected, regression)}
"""The tasks besides classification, by their name."""


def names(task: str | None = None) -> list[str]:
    """Return the names of all metrics, or of one task's; `top_5` stands for every k."""
    if task in _OTHERS:
        return list(_OTHERS[task].names())
    own = [*METRICS, "top_5"]
    others = [name for other in _OTHERS.values() for name in other.names()]
    return own if task is not None else list(dict.fromkeys([*own, *others]))


def primary(task: str) -> str:
    """Return the metric that is shown where nobody asks for one."""
    return str(_OTHERS[task].PRIMARY) if task in _OTHERS else "accuracy"


def find(name: str) -> Metric:
    """Return the metric of a name or alias; `top_<k>`, `ap<IoU>` and `recall@<IoU>` for any.

    Where several tasks have a metric of that name, `suit` picks the one of the model.

    Raises:
        CheckError: there is no such metric.

    >>> find("top-5").name, find("mAP@0.5").name
    ('top_5', 'ap50')
    """
    word = ALIASES.get(name, name)
    if word in METRICS:
        return METRICS[word]
    if match := _TOP.fullmatch(word):
        k = int(match[1])
        return Metric(f"top_{k}", states.top(k), e.share, "share", _EMPTY, is_mean=True)
    for other in _OTHERS.values():
        found: Metric | None = other.find(word)
        if found is not None:
            return found
    raise CheckError(f"There is no metric {name!r}.", did_you_mean(name, names(), "metrics"))


def suit(metric: Metric, task: str) -> Metric:
    """Return the metric of that name for a task; itself where the task has none (see `missing`).

    >>> suit(find("recall"), "detection").undefined
    'no box is annotated'
    """
    if metric.task == task:
        return metric
    if task in _OTHERS:
        found = _OTHERS[task].find(metric.name)
    else:
        found = METRICS.get(metric.name)
    return metric if found is None else replace(found, name=metric.name)


def empty(task: str) -> str:
    """Return why a slice has no values at all."""
    return str(_OTHERS[task].EMPTY) if task in _OTHERS else _EMPTY


def missing(metric: Metric, outcomes: Said) -> str:
    """Return why outcomes do not have what a metric reads; empty when they have."""
    if metric.task != outcomes.task:
        return f"{metric.name} is for {metric.task}, the model does {outcomes.task}"
    lacking = [name for name in metric.needs if name not in outcomes.columns]
    return f"the predictions have no {lacking[0]}" if lacking else ""


def for_class(metric: Metric, code: int, classes: Iterable[str] = ()) -> Metric:
    """Return the metric of one class.

    Args:
        metric: one with `per_class` or `by_class`.
        code: index of the class.
        classes: names, for the error only.

    Raises:
        CheckError: the metric is not defined for one class.
    """
    if metric.per_class is not None:
        reason = _NO_LABEL if metric.per_class is e.recalls else metric.undefined
        return replace(metric, compute=e.of_class(metric.per_class, code), undefined=reason)
    if metric.bind is not None:
        return replace(metric.bind(code), name=metric.name)
    if metric.by_class:
        compute = metric.compute
        return replace(metric, compute=lambda name, outcomes: compute(name, outcomes, code))
    raise CheckError(f"{metric.name} is not defined for one class.", f"per class: {per_class()}.")


def per_class() -> str:
    """Return the names of the metrics that are defined for one class, for messages."""
    able = [m.name for m in map(find, names()) if m.per_class or m.by_class]
    return ", ".join(able)


def update(metric: Metric, outcomes: Any, members: Membership) -> Floats | Ints:
    """Return the sums of a metric's state, one row a slice; two parts merge by addition.

    Args:
        metric: not a ranked one, which has no sums.
        outcomes: n rows.
        members: s slices over the same n rows.

    Returns:
        int64 (s, c, c) for the confusion state, else float64 (s, d).
    """
    rows = metric.state.rows(outcomes)
    if metric.state.kind == "codes":
        c = len(outcomes.classes)
        return members.count(rows.astype(np.int64), c * c).reshape(len(members), c, c)
    return members.sum(rows)


def compute(metric: Metric, sums: Floats | Ints) -> Estimate:
    """Return the estimates of all slices from their sums."""
    return metric.compute(sums)


def compute_ranked(metric: Metric, outcomes: Any, members: Membership) -> Estimate:
    """Return the estimates of a ranked metric, slice by slice."""
    parts = [metric.compute(metric.name, outcomes.take(rows)) for rows in members.positions]
    if not parts:
        return Estimate(np.empty(0), np.empty(0), np.empty(0))
    return Estimate.join(parts)


def interval(
    metric: Metric,
    found: Estimate,
    confidence: float = 0.95,
    *,
    sides: stats.intervals.Sides = 2,
    guarantee: bool = False,
) -> stats.Interval:
    """Return the interval of estimates.

    Args:
        metric: says how.
        found: its estimates.
        confidence: coverage wanted.
        sides: 1 makes each bound alone hold at `confidence`.
        guarantee: Clopper-Pearson in place of Wilson, for shares.
    """
    if metric.interval == "exact":
        return stats.Interval(found.value, found.value)
    if metric.interval == "draws":
        return _quantiles(found, stats.intervals.tail(confidence, sides))
    if metric.interval == "share":
        method = stats.clopper_pearson if guarantee else stats.wilson
        size = np.where(np.isnan(found.value), 0.0, found.size)
        return method(_successes(found), size, confidence, sides=sides)
    from scipy.special import stdtrit

    tail = stats.intervals.tail(confidence, sides)
    half = -stdtrit(np.maximum(found.size - 1, 1), tail) * found.error
    if found.floor is None:
        return stats.Interval(found.value - half, found.value + half)
    # an error of calibration, which lies in [0, 1]
    return stats.Interval(np.maximum(found.floor - half, 0.0), np.minimum(found.value + half, 1.0))


def p_value(
    metric: Metric, found: Estimate, bound: float, alternative: Literal["less", "greater"]
) -> Floats:
    """Return one-sided p-values of estimates against a bound.

    Args:
        metric: says how.
        found: its estimates.
        bound: value under the null hypothesis.
        alternative: "less" seeks evidence that the true value lies below the bound.
    """
    if metric.interval == "exact":
        beyond = found.value < bound if alternative == "less" else found.value > bound
        return np.where(np.isnan(found.value), np.nan, np.where(beyond, 0.0, 1.0))
    if metric.interval == "draws":
        assert found.draws is not None
        known = np.sum(~np.isnan(found.draws), axis=1)
        beyond = found.draws >= bound if alternative == "less" else found.draws <= bound
        p = (beyond.sum(axis=1) + 1) / (known + 1)
        return np.where(np.isnan(found.value), np.nan, p)
    if metric.interval == "share":
        size = np.where(np.isnan(found.value), 0.0, found.size)
        return stats.proportion_p(_successes(found), size, bound, alternative)
    from scipy.special import stdtr

    start = found.value if found.floor is None or alternative == "less" else found.floor
    gap = start - bound
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where((gap == 0) & (found.error == 0), 0.0, gap / found.error)
    df = np.maximum(found.size - 1, 1)
    return np.asarray(stdtr(df, t) if alternative == "less" else stdtr(df, -t))


def _quantiles(found: Estimate, tail: float) -> stats.Interval:
    """Return the percentile interval of the draws that are defined."""
    edges = np.full((2, len(found.value)), np.nan)
    if found.draws is not None:
        known = ~np.isnan(found.draws).all(axis=1)
        edges[:, known] = np.nanquantile(found.draws[known], [tail, 1 - tail], axis=1)
    return stats.Interval(edges[0], edges[1])


def _successes(found: Estimate) -> Floats:
    """Return value x size, whole where it is a count that a division made uneven."""
    k = np.where(np.isnan(found.value), 0.0, found.value * found.size)
    whole = np.rint(k)
    return np.where(np.abs(k - whole) < 1e-9 * np.maximum(1.0, k), whole, k)
