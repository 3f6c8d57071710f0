"""Predictions: one table per model, computed here or logged from elsewhere."""

from __future__ import annotations

from slicedb.predictions.collected import PredictionLog
from slicedb.predictions.compute import PredictReport, predict
from slicedb.predictions.logged import LogReport, log
from slicedb.predictions.refresh import refresh
from slicedb.predictions.reports import PredictReports
from slicedb.predictions.several import predict_several

__all__ = [
    "LogReport",
    "PredictReport",
    "PredictReports",
    "PredictionLog",
    "log",
    "predict",
    "predict_several",
    "refresh",
]
