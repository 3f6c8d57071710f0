"""Suites: expectations of slices, judged together, with verdicts one can defend.

PASS: the one-sided interval clears the bound. FAIL: the evidence against it stays significant
after all the suite's tests are counted. Otherwise INCONCLUSIVE, with the images still needed.
A suite passes only when each test does, so PASS needs no correction (an intersection-union test,
Berger 1982); any FAIL fails it, so FAIL does.
"""

from __future__ import annotations

from slicedb.slices import Check, parse_check
from slicedb.suite.history import Runs, Trend, Trends
from slicedb.suite.record import record_evaluation
from slicedb.suite.records import Report, Result, Verdict
from slicedb.suite.run import run
from slicedb.suite.settings import settings

__all__ = [
    "Check",
    "Report",
    "Result",
    "Runs",
    "Trend",
    "Trends",
    "Verdict",
    "parse_check",
    "record_evaluation",
    "run",
    "settings",
]
