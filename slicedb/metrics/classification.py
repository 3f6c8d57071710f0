"""Metrics of classifiers."""

from __future__ import annotations

import math
import re

import numpy as np

from slicedb.metrics import estimate as e
from slicedb.metrics import states
from slicedb.metrics.estimate import Estimate
from slicedb.metrics.metric import POSITIVE, Metric
from slicedb.metrics.outcomes import EPSILON, Ints
from slicedb.metrics.ranked import area, rank_area
from slicedb.metrics.states import CORRECT

TASK = "classification"

EMPTY = "no sample has both a label and a prediction"
NO_LABEL = "no sample has the label"
_NEVER = "the class is never predicted"
_NEITHER = "the class is neither a label nor a prediction"
_ONE_KIND = "positives and negatives are both needed"

_TOP = re.compile(r"top[_-]?([1-9]\d*)(?:_accuracy)?")


def _count(matrix: Ints) -> Estimate:
    n = matrix.sum(axis=(-2, -1)).astype(float)
    return Estimate(n, n, np.full_like(n, np.nan))


def _top(name: str) -> Metric | None:
    """Return the top-k accuracy of a name; None for any other name.

    >>> metric = _top("top-5")
    >>> metric.name if metric else None
    'top_5'
    """
    match = _TOP.fullmatch(name)
    if match is None:
        return None
    inside = states.in_top(int(match[1]))
    state = states.mean_state(inside, ("probabilities",))
    return Metric(inside.name, state, e.share, "share", EMPTY, family=_top, sample=inside)


_C = states.CONFUSION
_TOP_5 = _top("top_5")
assert _TOP_5 is not None

ROWS = (
    Metric("count", _C, _count, "exact", EMPTY, range=POSITIVE, aliases=("n",)),
    Metric(
        "accuracy",
        _C,
        e.accuracy,
        "share",
        EMPTY,
        aliases=("acc", "top1", "top_1"),
        per_class=e.recalls,
        sample=CORRECT,
        sample_of_class=CORRECT,
    ),
    Metric("balanced_accuracy", _C, e.average(e.recalls), "share", EMPTY, minimum=3),
    Metric(
        "precision",
        _C,
        e.average(e.precisions, fill=True),
        "share",
        _NEVER,
        aliases=("precision_macro",),
        per_class=e.precisions,
        minimum=5,
    ),
    Metric("precision_micro", _C, e.accuracy, "share", EMPTY, sample=CORRECT),
    Metric(
        "precision_weighted",
        _C,
        e.average(e.precisions, weighted=True, fill=True),
        "share",
        _NEVER,
        minimum=5,
    ),
    Metric(
        "recall",
        _C,
        e.average(e.recalls, fill=True),
        "share",
        NO_LABEL,
        aliases=("recall_macro",),
        per_class=e.recalls,
        sample_of_class=CORRECT,
        minimum=3,
    ),
    Metric("recall_micro", _C, e.accuracy, "share", EMPTY, sample=CORRECT),
    Metric("recall_weighted", _C, e.accuracy, "share", EMPTY, sample=CORRECT),
    Metric(
        "f1",
        _C,
        e.average(e.f1s),
        "share",
        _NEITHER,
        aliases=("f1_macro", "macro_f1"),
        per_class=e.f1s,
        minimum=10,
    ),
    Metric("f1_micro", _C, e.accuracy, "share", EMPTY, aliases=("micro_f1",), sample=CORRECT),
    Metric(
        "f1_weighted",
        _C,
        e.average(e.f1s, weighted=True),
        "share",
        _NEITHER,
        aliases=("weighted_f1",),
        minimum=10,
    ),
    Metric(
        "log_loss",
        states.LOG_LOSS,
        e.mean_loss(-math.log(EPSILON)),
        "mean",
        EMPTY,
        range=POSITIVE,
        rises=False,
        aliases=("nll", "logloss"),
        sample=states.LOG_LOSSES,
    ),
    Metric(
        "brier",
        states.BRIER,
        e.mean_loss(2.0),
        "mean",
        EMPTY,
        range=(0.0, 2.0),
        rises=False,
        sample=states.BRIER_SCORES,
    ),
    Metric("ece", states.CALIBRATION, e.calibration, "mean", EMPTY, rises=False),
    Metric(
        "auroc",
        states.RANKED,
        area,
        "rank",
        _ONE_KIND,
        aliases=("roc_auc",),
        by_class=True,
        influence=rank_area,
        minimum=10,
    ),
    Metric(
        "average_precision",
        states.RANKED,
        area,
        "rank",
        NO_LABEL,
        aliases=("ap",),
        by_class=True,
        influence=rank_area,
        minimum=30,
    ),
    _TOP_5,
)
