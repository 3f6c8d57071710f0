"""Finding what to fix and what to ship: mistakes, costs, calibration."""

from __future__ import annotations

from slicedb.curate.abstention import Coverage, best_coverage, risk_coverage
from slicedb.curate.calibration import Calibration, Temperature, calibrate, fit_temperature
from slicedb.curate.cost import cost, expected_cost
from slicedb.curate.matrix import CostMatrix, cheapest
from slicedb.curate.mistakes import ConfusedPair, Finding, Mistakes, SliceShare, errors
from slicedb.curate.policies import CostReport, PolicyCost
from slicedb.curate.reliability import Reliability, ece, reliability
from slicedb.curate.thresholds import Curve, Threshold, best_threshold, cross_fit, sweep

__all__ = [
    "Calibration",
    "ConfusedPair",
    "CostMatrix",
    "CostReport",
    "Coverage",
    "Curve",
    "Finding",
    "Mistakes",
    "PolicyCost",
    "Reliability",
    "SliceShare",
    "Temperature",
    "Threshold",
    "best_coverage",
    "best_threshold",
    "calibrate",
    "cheapest",
    "cost",
    "cross_fit",
    "ece",
    "errors",
    "expected_cost",
    "fit_temperature",
    "reliability",
    "risk_coverage",
    "sweep",
]
