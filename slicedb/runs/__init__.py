"""Record runs: what was judged, on what, with which result; and how each test fared over time."""

from __future__ import annotations

from slicedb.runs.history import Runs, Trend, Trends
from slicedb.runs.latest import Standing, standings
from slicedb.runs.looking import record_look, recorded
from slicedb.runs.looks import past_looks
from slicedb.runs.record import record, record_evaluation

__all__ = [
    "Runs",
    "Standing",
    "Trend",
    "Trends",
    "past_looks",
    "record",
    "record_evaluation",
    "record_look",
    "recorded",
    "standings",
]
