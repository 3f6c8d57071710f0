"""Models: the contract, preprocessing, loading, and the models of a database.

The author of a model writes one method, `predict_batch(images) -> logits` (or detections, or logits
of pixels); batching, devices, mixed precision, decoding, retries after out-of-memory, progress and
storage are SliceDB's. An installed package adds a kind of model specs, see `ModelType`.
"""

from __future__ import annotations

from slicedb.models.detector import Detector, TorchDetector
from slicedb.models.loading import load
from slicedb.models.model import Model, TorchClassifier
from slicedb.models.multilabel import TorchMultilabel
from slicedb.models.preprocessing import Preprocessing
from slicedb.models.registry import Models
from slicedb.models.regressor import TorchRegressor
from slicedb.models.segmenter import Segmenter, TorchSegmenter
from slicedb.models.types import MODEL_TYPES, ModelSpec, ModelType

__all__ = [
    "MODEL_TYPES",
    "Detector",
    "Model",
    "ModelSpec",
    "ModelType",
    "Models",
    "Preprocessing",
    "Segmenter",
    "TorchClassifier",
    "TorchDetector",
    "TorchMultilabel",
    "TorchRegressor",
    "TorchSegmenter",
    "load",
]
