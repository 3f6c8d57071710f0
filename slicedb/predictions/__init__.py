"""Predictions: one table per model, computed here or logged from elsewhere."""

from __future__ import annotations

from slicedb.predictions.collected import PredictionLog
from slicedb.predictions.compute import PredictReport, predict
from slicedb.predictions.logged import LogReport, log
from slicedb.predictions.refresh import refresh

__all__ = ["LogReport", "PredictReport", "PredictionLog", "log", "predict", "refresh"]
