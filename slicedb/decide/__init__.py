"""Decide by cost: thresholds, abstention, and calibrated confidence."""

from __future__ import annotations

from slicedb.decide.abstention import Coverage, best_coverage, risk_coverage
from slicedb.decide.cost import cost, expected_cost
from slicedb.decide.crossfit import cross_fit
from slicedb.decide.curve import Curve, sweep
from slicedb.decide.matrix import CostMatrix, cheapest
from slicedb.decide.operating import Operating, operating
from slicedb.decide.policies import CostReport, PolicyCost
from slicedb.decide.rates import ErrorRates
from slicedb.decide.reliability import Reliability, ece, reliability
from slicedb.decide.scaling import Scaling
from slicedb.decide.temperature import Calibration, Temperature, calibrate, fit_temperature
from slicedb.decide.thresholds import Threshold, best_threshold

__all__ = [
    "Calibration",
    "CostMatrix",
    "CostReport",
    "Coverage",
    "Curve",
    "ErrorRates",
    "Operating",
    "PolicyCost",
    "Reliability",
    "Scaling",
    "Temperature",
    "Threshold",
    "best_coverage",
    "best_threshold",
    "calibrate",
    "cheapest",
    "cost",
    "cross_fit",
    "ece",
    "expected_cost",
    "fit_temperature",
    "operating",
    "reliability",
    "risk_coverage",
    "sweep",
]
