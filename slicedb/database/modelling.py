"""The verbs of models: the registry, predict, predictions made elsewhere, grad-cam."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.database.asking import On
from slicedb.database.data import DataVerbs

if TYPE_CHECKING:
    from slicedb.cam import CamReport, StoredCams
    from slicedb.models import Model, Registry
    from slicedb.predictions import LogReport, PredictionLog, PredictReport


class ModelVerbs(DataVerbs):
    """Verbs over models and their predictions."""

    @cached_property
    def models(self) -> Registry:
        """The registry of models."""
        from slicedb.models import Registry

        return Registry(self.store, lambda name: self.commits.get(name).id)

    def predict(
        self,
        model: str,
        on: On | Iterable[Any] = None,
        *,
        source: Model | None = None,
        **options: Any,
    ) -> PredictReport:
        """Predict what is missing or stale, in one batched pass.

        Args:
            model: the registered name.
            on: what to predict; a list stands for the union of its parts.
            source: the model itself, in place of the registered one.
            **options: batch_size, device, progress.

        Raises:
            UnknownModelError: no model of that name.
        """
        from slicedb.predictions import predict

        loaded = source if source is not None else self.models.get(model)
        report = predict(self.store, model, loaded, self._union(on), **options)
        self.store.sync()
        return report

    def cam(self, model: str, on: On = None, **options: Any) -> CamReport:
        """Store what a model looked at (grad-cam) in `cams__<model>`; only what is missing.

        See `slicedb.cam.cam` for the options.
        """
        from slicedb.cam import cam
        from slicedb.cam.overlays import cards

        keys = self._union(on)
        report = cam(self.store, model, self.models.get(model), keys, **options)
        self.store.sync()
        return replace(report, pictures=lambda: cards(self.store, model, keys))

    @cached_property
    def cams(self) -> StoredCams:
        """The stored maps: `db.cams.overlay('a.jpg', 'food_v3')` is a picture."""
        from slicedb.cam import StoredCams

        return StoredCams(self.store)

    def _union(self, on: On | Iterable[Any]) -> np.ndarray:
        if isinstance(on, (list, tuple, set)):
            parts = [self.keys(part) for part in on]
            return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)
        return np.unique(self.keys(on))  # type: ignore[arg-type]

    def log_predictions(
        self,
        model: str,
        data: pa.Table | str | os.PathLike[str] | None = None,
        *,
        classes: Sequence[str] | None = None,
        **options: Any,
    ) -> LogReport | PredictionLog:
        """Store predictions made elsewhere.

        With `data` (a table, a CSV, Parquet or COCO results file) they are stored at once; without,
        a context manager is returned whose `add(ids, logits=...)`, `add(ids, detections=...)` or
        `add(ids, value=...)` collects them. See `slicedb.predictions.log` for the options.
        """
        from slicedb.predictions import PredictionLog, log

        if data is None:
            return PredictionLog(self.store, model, classes=classes, **options)
        return log(self.store, model, data, classes=classes, **options)
