"""Analysis: where a model is wrong."""

from __future__ import annotations

from slicedb.analysis.boxes import BoxFinding, BoxMistakes, ConfusedBoxes, box_errors
from slicedb.analysis.mistakes import ConfusedPair, Mistakes, ReviewSet, errors
from slicedb.analysis.shares import SliceShare

__all__ = [
    "BoxFinding",
    "BoxMistakes",
    "ConfusedBoxes",
    "ConfusedPair",
    "Mistakes",
    "ReviewSet",
    "SliceShare",
    "box_errors",
    "errors",
]
