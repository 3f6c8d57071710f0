"""The table of metrics, and what is done with a row of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from slicedb import stats
from slicedb.errors import CheckError, did_you_mean
from slicedb.metrics import estimate as e
from slicedb.metrics import states
from slicedb.metrics.estimate import Estimate, PerClass
from slicedb.metrics.membership import Membership
from slicedb.metrics.outcomes import Floats, Ints, Outcomes
from slicedb.metrics.ranked import area


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str
    state: states.State
    """The per-sample statistics it is computed from."""
    compute: Callable[..., Estimate]
    """Sums of all slices -> estimates; for ranked metrics, outcomes of one slice -> estimate."""
    interval: Literal["share", "mean", "exact"]
    """How its interval is made: of a share in [0, 1], of a mean, or none."""
    undefined: str
    """Why it is NaN where it is."""
    rises: bool = True
    """Whether higher is better."""
    per_class: Callable[[Ints], PerClass] | None = None
    """The same for one class, from the confusion matrix."""
    by_class: bool = False
    """Whether `of <class>` makes sense."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the outcomes it reads."""
        return self.state.needs


def _count(matrix: Ints) -> Estimate:
    n = matrix.sum(axis=(-2, -1)).astype(float)
    return Estimate(n, n, np.full_like(n, np.nan))


_EMPTY = "no sample has both a label and a prediction"
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
    Metric("log_loss", states.LOG_LOSS, e.mean, "mean", _EMPTY, rises=False),
    Metric("brier", states.BRIER, e.mean, "mean", _EMPTY, rises=False),
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


def names() -> list[str]:
    """Return the names of all metrics, `top_5` standing for every k."""
    return [*METRICS, "top_5"]


def find(name: str) -> Metric:
    """Return the metric of a name or alias, `top_<k>` for any k included.

    Raises:
        CheckError: there is no such metric.

    >>> find("top-5").name
    'top_5'
    """
    word = ALIASES.get(name, name)
    if word in METRICS:
        return METRICS[word]
    if match := _TOP.fullmatch(word):
        k = int(match[1])
        return Metric(f"top_{k}", states.top(k), e.share, "share", _EMPTY)
    raise CheckError(f"There is no metric {name!r}.", did_you_mean(name, names(), "metrics"))


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
    if metric.by_class:
        return replace(metric, compute=lambda name, outcomes: area(name, outcomes, code))
    able = [m.name for m in _ROWS if m.per_class or m.by_class]
    raise CheckError(
        f"{metric.name} is not defined for one class.", f"per class: {', '.join(able)}."
    )


def update(metric: Metric, outcomes: Outcomes, members: Membership) -> Floats | Ints:
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


def compute_ranked(metric: Metric, outcomes: Outcomes, members: Membership) -> Estimate:
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
    if metric.interval == "share":
        method = stats.clopper_pearson if guarantee else stats.wilson
        size = np.where(np.isnan(found.value), 0.0, found.size)
        return method(_successes(found), size, confidence, sides=sides)
    from scipy.special import stdtrit

    tail = stats.intervals.tail(confidence, sides)
    half = -stdtrit(np.maximum(found.size - 1, 1), tail) * found.error
    start = found.value if found.floor is None else found.floor
    return stats.Interval(start - half, found.value + half)


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


def _successes(found: Estimate) -> Floats:
    """Return value x size, whole where it is a count that a division made uneven."""
    k = np.where(np.isnan(found.value), 0.0, found.value * found.size)
    whole = np.rint(k)
    return np.where(np.abs(k - whole) < 1e-9 * np.maximum(1.0, k), whole, k)
