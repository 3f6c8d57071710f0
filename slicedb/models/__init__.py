"""Models: the contract, preprocessing, loading, the registry and the batched runner.

A plug-in author writes one method, `predict_batch(images) -> logits` (or `-> detections`);
batching, devices, mixed precision, decoding, retries after out-of-memory, progress and storage are
SliceDB's.
"""

from __future__ import annotations

from slicedb.models.detector import Detector, TorchDetector
from slicedb.models.loading import load
from slicedb.models.model import Model, TorchClassifier
from slicedb.models.preprocessing import Preprocessing
from slicedb.models.registry import Registry
from slicedb.models.regressor import TorchRegressor

__all__ = [
    "Detector",
    "Model",
    "Preprocessing",
    "Registry",
    "TorchClassifier",
    "TorchDetector",
    "TorchRegressor",
    "load",
]
