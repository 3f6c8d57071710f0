"""Log the predictions of a training run, one table per epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import torch

from slicedb.predictions import PredictionLog
from slicedb.show import numbers
from slicedb.store import Store
from slicedb.training.epoch_names import epoch_name
from slicedb.training.forgetting import forgetting

if TYPE_CHECKING:
    from slicedb.database import Database

ScoreMatrix: TypeAlias = torch.Tensor | np.ndarray | None
"""Logits or probabilities (n, c)."""


class LabelledImages(Protocol):
    """A loader: yields `(images, ..., ids)`."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...


class EpochLog:
    """Takes the predictions of one epoch; `EpochLogger.epoch` opens it.

    A sample that comes again within the epoch, as with a weighted sampler, keeps its first
    prediction.
    """

    def __init__(self, log: PredictionLog) -> None:
        self._log = log
        self._seen: set[str] = set()
        self.repeated = 0
        """How many predictions were left out because their sample came before."""

    def __repr__(self) -> str:
        return f"<EpochLog {self._log.model!r}: {numbers.count(len(self._seen), 'prediction')}>"

    def add(
        self, ids: Sequence[str], *, logits: ScoreMatrix = None, probabilities: ScoreMatrix = None
    ) -> None:
        """Take a batch: n ids, and logits or probabilities (n, c).

        Raises:
            PredictionError: an unknown id, a wrong width, a value that is no number.
        """
        fresh = [at for at, name in enumerate(ids) if name not in self._seen]
        first = {ids[at]: at for at in reversed(fresh)}  # the first of those twice in this batch
        rows = sorted(first.values())
        self._seen.update(first)
        self.repeated += len(ids) - len(rows)
        if len(rows) < len(ids):
            logits, probabilities = _rows(logits, rows), _rows(probabilities, rows)
            ids = [ids[at] for at in rows]
        if rows:
            self._log.add(ids, logits=logits, probabilities=probabilities)


class EpochLogger:
    """Log what a network predicts, epoch by epoch: a callback for plain PyTorch.

        logger = EpochLogger(db, "run7", classes=names)
        for epoch in range(90):
            train(net, loader)
            logger(net, validation, epoch)          # or: with logger.epoch(epoch) as log: ...
        logger.forgetting()

    Each epoch is a model of its own in queries: `run7_epoch3.loss > 2 AND run7_epoch9.correct`.

    Args:
        store: the database, or its store.
        run: names the epochs; see `epoch_name`.
        classes: names in the order of the logits; None takes those of the loader.
    """

    def __init__(
        self, store: Store | Database, run: str, *, classes: Sequence[str] | None = None
    ) -> None:
        self.store: Store = store if isinstance(store, Store) else store.store
        self.run = run
        self.classes = classes
        epoch_name(run, 0)

    @contextmanager
    def epoch(self, epoch: int, *, classes: Sequence[str] | None = None) -> Iterator[EpochLog]:
        """Open the log of an epoch; it is stored when the block ends without an error.

        Raises:
            PredictionError: the epoch was logged before with other classes.
        """
        names = self.classes if classes is None else classes
        with PredictionLog(self.store, epoch_name(self.run, epoch), classes=names) as log:
            yield EpochLog(log)

    def __call__(
        self,
        net: torch.nn.Module,
        loader: LabelledImages,
        epoch: int,
        *,
        device: torch.device | str | None = None,
    ) -> EpochLog:
        """Run a network over a loader in evaluation mode, and log its logits.

        Args:
            net: a `torch.nn.Module` from images to logits (n, c); its mode is put back.
            loader: yields `(images, ..., ids)`.
            epoch: from 0.
            device: where the images go; None takes that of the network's parameters.
        """
        if device is None:
            device = next((p.device for p in net.parameters()), torch.device("cpu"))
        names = self.classes if self.classes is not None else getattr(loader, "classes", None)
        was_training = net.training
        net.eval()
        try:
            with torch.no_grad(), self.epoch(epoch, classes=names) as log:
                for images, *_, ids in loader:
                    log.add(ids, logits=net(images.to(device)))
        finally:
            net.train(was_training)
        return log

    def forgetting(self, keys: np.ndarray | None = None) -> pa.Table:
        """Return `forgetting` over the epochs logged so far."""
        return forgetting(self.store, self.run, keys)


def _rows(values: ScoreMatrix, rows: list[int]) -> ScoreMatrix:
    return None if values is None else values[rows]
