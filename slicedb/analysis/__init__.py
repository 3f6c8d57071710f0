"""Analysis: where a model is wrong."""

from __future__ import annotations

from slicedb.analysis.mistakes import ConfusedPair, Mistakes, ReviewSet, SliceShare, errors

__all__ = ["ConfusedPair", "Mistakes", "ReviewSet", "SliceShare", "errors"]
