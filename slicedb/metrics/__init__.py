"""Metrics: per-sample statistics once, then sums, then values.

`update` turns outcomes and a membership into sums, one row a slice; sums of two parts merge by
addition; `compute` turns sums into estimates, all slices at once. A metric is a row of a table:

>>> import numpy as np
>>> from slicedb.metrics import Membership, Outcomes, compute, find, update
>>> outcomes = Outcomes.of(["cat", "dog", "dog"], ["cat", "cat", "dog"])
>>> members = Membership([np.array([0, 1, 2]), np.array([1])], 3)
>>> accuracy = find("accuracy")
>>> compute(accuracy, update(accuracy, outcomes, members)).value.round(3).tolist()
[0.667, 0.0]

Undefined is NaN, with the reason in the metric's row, never 0.
"""

from __future__ import annotations

from slicedb.metrics.detections import Detections
from slicedb.metrics.estimate import Estimate
from slicedb.metrics.membership import Membership
from slicedb.metrics.metric import Metric
from slicedb.metrics.multilabel import LabelSets
from slicedb.metrics.outcomes import Outcomes, Said
from slicedb.metrics.regression import Numbers
from slicedb.metrics.table import (
    METRICS,
    NO_SAMPLES,
    compute,
    compute_ranked,
    empty,
    find,
    for_class,
    interval,
    missing,
    names,
    p_value,
    per_class,
    primary,
    suit,
    update,
)

__all__ = [
    "METRICS",
    "NO_SAMPLES",
    "Detections",
    "Estimate",
    "LabelSets",
    "Membership",
    "Metric",
    "Numbers",
    "Outcomes",
    "Said",
    "compute",
    "compute_ranked",
    "empty",
    "find",
    "for_class",
    "interval",
    "missing",
    "names",
    "p_value",
    "per_class",
    "primary",
    "suit",
    "update",
]
