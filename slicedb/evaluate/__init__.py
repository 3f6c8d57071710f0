"""Evaluation: slice membership x per-sample statistics -> value, interval, n, n left out."""

from __future__ import annotations

from slicedb.evaluate.compare import Comparison, compare
from slicedb.evaluate.confusion import Confusion, confusion
from slicedb.evaluate.groups import groups_of, resampled
from slicedb.evaluate.judged import Judged, Universe, load, universe
from slicedb.evaluate.pair import Pair
from slicedb.evaluate.power import Power, power
from slicedb.evaluate.table import Evaluation, evaluate

__all__ = [
    "Comparison",
    "Confusion",
    "Evaluation",
    "Judged",
    "Pair",
    "Power",
    "Universe",
    "compare",
    "confusion",
    "evaluate",
    "groups_of",
    "load",
    "power",
    "resampled",
    "universe",
]
