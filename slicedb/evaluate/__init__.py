"""Evaluation: slice membership x per-sample statistics -> value, interval, n, n left out."""

from __future__ import annotations

from slicedb.evaluate.confusion import Confusion, confusion
from slicedb.evaluate.judged import Judged, Universe, load, universe
from slicedb.evaluate.table import Evaluation, evaluate

__all__ = [
    "Confusion",
    "Evaluation",
    "Judged",
    "Universe",
    "confusion",
    "evaluate",
    "load",
    "universe",
]
