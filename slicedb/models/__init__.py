"""Models: the contract, preprocessing, loading, the registry and the batched runner.

A plug-in author writes one method, `predict_batch(images) -> logits`; batching, devices, mixed
precision, decoding, retries after out-of-memory, progress and storage are SliceDB's.
"""

from __future__ import annotations

from slicedb.models.loading import load
from slicedb.models.model import Model, TorchClassifier
from slicedb.models.preprocessing import Preprocessing
from slicedb.models.registry import Registry

__all__ = ["Model", "Preprocessing", "Registry", "TorchClassifier", "load"]
