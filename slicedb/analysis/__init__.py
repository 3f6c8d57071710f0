"""Analysis: where a model is wrong."""

from __future__ import annotations

from slicedb.analysis.mistakes import ConfusedPair, Finding, Mistakes, SliceShare, errors

__all__ = ["ConfusedPair", "Finding", "Mistakes", "SliceShare", "errors"]
