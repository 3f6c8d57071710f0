"""Metrics: per-sample statistics once, then sums, then values.

`update` turns outcomes and a membership into sums, one row per slice; sums of two parts merge by
addition; `compute` turns sums into estimates, all slices at once. A metric is a row of a table:

>>> import numpy as np
>>> from slicedb.metrics import Membership, Outcomes, compute, find, update
>>> outcomes = Outcomes.of(["cat", "dog", "dog"], ["cat", "cat", "dog"])
>>> members = Membership([np.array([0, 1, 2]), np.array([1])], 3)
>>> accuracy = find("accuracy")
>>> compute(accuracy, update(accuracy, outcomes, members)).value.round(3).tolist()
[0.667, 0.0]

An undefined value is NaN, never 0, and the metric says why. Installed packages add metrics, see
`Metric`.
"""

from __future__ import annotations

from slicedb.metrics.computing import compute, compute_ranked, estimates, interval, p_value, update
from slicedb.metrics.detections import Detections
from slicedb.metrics.estimate import Estimate, mean, share
from slicedb.metrics.membership import Membership
from slicedb.metrics.metric import Metric
from slicedb.metrics.multilabel import LabelSets
from slicedb.metrics.outcomes import Outcomes, TaskOutcomes
from slicedb.metrics.regression import PredictedNumbers
from slicedb.metrics.states import MetricState, PerSample, mean_state, moments
from slicedb.metrics.table import (
    METRICS,
    NO_SAMPLES,
    find,
    for_class,
    listed,
    missing,
    names,
    per_class,
    suit,
)

__all__ = [
    "METRICS",
    "NO_SAMPLES",
    "Detections",
    "Estimate",
    "LabelSets",
    "Membership",
    "Metric",
    "MetricState",
    "Outcomes",
    "PerSample",
    "PredictedNumbers",
    "TaskOutcomes",
    "compute",
    "compute_ranked",
    "estimates",
    "find",
    "for_class",
    "interval",
    "listed",
    "mean",
    "mean_state",
    "missing",
    "moments",
    "names",
    "p_value",
    "per_class",
    "share",
    "suit",
    "update",
]
