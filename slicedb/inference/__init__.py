"""Predict in batches: encoded images in, record batches out.

Knows neither tables nor slices, so that it runs wherever torch does. A model runs on a device in
batches that fit its memory.
"""

from __future__ import annotations

from slicedb.inference.pictures import Predicted, predict_pictures
from slicedb.inference.prediction import NOT_FINITE, predict
from slicedb.inference.runner import Outputs, TensorSide, run, running
from slicedb.inference.several import Said, predict_several

__all__ = [
    "NOT_FINITE",
    "Outputs",
    "Predicted",
    "Said",
    "TensorSide",
    "predict",
    "predict_pictures",
    "predict_several",
    "run",
    "running",
]
