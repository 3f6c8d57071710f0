"""Analysis: where a model is wrong."""

from __future__ import annotations

from slicedb.analysis.boxes import BoxFinding, BoxMistakes, ConfusedBoxes, box_errors
from slicedb.analysis.cleaning import Case, Cleaner, CleanReport
from slicedb.analysis.mistakes import ConfusedPair, Mistakes, ReviewSet, errors
from slicedb.analysis.shares import SliceShare
from slicedb.analysis.tryout import Tryout, try_out

__all__ = [
    "BoxFinding",
    "BoxMistakes",
    "Case",
    "CleanReport",
    "Cleaner",
    "ConfusedBoxes",
    "ConfusedPair",
    "Mistakes",
    "ReviewSet",
    "SliceShare",
    "Tryout",
    "box_errors",
    "errors",
    "try_out",
]
