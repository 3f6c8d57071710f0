"""Predictions of a training run, a table an epoch: `run7_epoch0`, `run7_epoch1`, ..."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from slicedb.models.names import check_name
from slicedb.predictions import PredictionLog
from slicedb.schema import PREDICTIONS
from slicedb.store import Store


def epoch_name(run: str, epoch: int) -> str:
    """Return the name an epoch's predictions go by in queries.

    Whatever is no letter, digit or underscore becomes an underscore, one for a stretch of them,
    so that `run7_epoch3.loss` needs no quotes. Runs that differ in nothing else share names.

    Raises:
        ModelError: the name cannot stand in a query even so.
        ValueError: the epoch is negative.

    >>> epoch_name("run7", 3), epoch_name("resnet-18 (long)", 12)
    ('run7_epoch3', 'resnet_18_long_epoch12')
    """
    if epoch < 0:
        raise ValueError(f"Epoch {epoch} is negative.")
    word = re.sub(r"[^A-Za-z0-9_]+", "_", run).strip("_")
    name = f"{word}_epoch{epoch}"
    check_name(name)
    return name


def epochs_of(store: Store, run: str) -> dict[int, str]:
    """Return the models of the logged epochs of a run, by epoch, ascending."""
    prefix = PREDICTIONS + epoch_name(run, 0).removesuffix("0")
    numbers = (name.removeprefix(prefix) for name in store.names() if name.startswith(prefix))
    return {n: epoch_name(run, n) for n in sorted(int(n) for n in numbers if n.isdecimal())}


class EpochLog:
    """Takes the predictions of one epoch; made by `EpochLogger.epoch`.

    A sample that comes again within the epoch, as a weighted sampler draws it, keeps the first
    prediction.
    """

    def __init__(self, log: PredictionLog) -> None:
        self._log = log
        self._seen: set[str] = set()
        self.repeated = 0
        """Predictions left out because the sample came before."""

    def __repr__(self) -> str:
        return f"<EpochLog {self._log.model!r}: {len(self._seen):,} predictions>"

    def add(self, ids: Sequence[str], *, logits: Any = None, probabilities: Any = None) -> None:
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

    def __init__(self, store: Any, run: str, *, classes: Sequence[str] | None = None) -> None:
        self.store: Store = getattr(store, "store", store)
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

    def __call__(self, net: Any, loader: Any, epoch: int, *, device: Any = None) -> EpochLog:
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

    def forgetting(self, keys: np.ndarray | None = None) -> Any:
        """Return `forgetting` over the epochs logged so far, as an Arrow table."""
        from slicedb.training.forgetting import forgetting

        return forgetting(self.store, self.run, keys)


def _rows(values: Any, rows: list[int]) -> Any:
    return None if values is None else values[rows]
