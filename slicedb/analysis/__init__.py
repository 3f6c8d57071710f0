"""Analysis: where a model is wrong; `tryout`, which needs torch, is imported by who asks for it."""

from __future__ import annotations

from slicedb.analysis.boxes import BoxFinding, BoxMistakes
from slicedb.analysis.bytask import errors
from slicedb.analysis.cleaning import Case, Cleaner, CleanReport
from slicedb.analysis.mistakes import Mistakes
from slicedb.analysis.pixels import ConfusedPixels, PixelMistakes
from slicedb.analysis.review import ConfusedPair, ReviewSet
from slicedb.analysis.shares import SliceShare

__all__ = [
    "BoxFinding",
    "BoxMistakes",
    "Case",
    "CleanReport",
    "Cleaner",
    "ConfusedPair",
    "ConfusedPixels",
    "Mistakes",
    "PixelMistakes",
    "ReviewSet",
    "SliceShare",
    "errors",
]
