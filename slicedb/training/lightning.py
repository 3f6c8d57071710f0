"""A Lightning callback that logs an epoch's predictions; Lightning is imported when it is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import torch

from slicedb.errors import SliceDBError
from slicedb.training.epochs import EpochLog, EpochLogger


def lightning_callback(
    store: Any,
    run: str,
    *,
    classes: Sequence[str] | None = None,
    stage: Literal["validation", "train"] = "validation",
    logits: Callable[[Any], Any] | None = None,
    ids: Callable[[Any], Sequence[str]] | None = None,
) -> Any:
    """Return a Lightning callback that logs each epoch under `epoch_name(run, epoch)`.

    Args:
        store: the database, or its store.
        run: names the epochs.
        classes: names in the order of the logits; None takes the labels of the samples, sorted.
        stage: whose steps are logged; Lightning's sanity check is left out.
        logits: from what the step returned to (n, c); None takes `outputs["logits"]`, or the
            output itself when it is a matrix.
        ids: from a batch to its ids; None takes the last part of the batch.

    Raises:
        SliceDBError: Lightning is not installed; later, when several processes train at once.
    """
    logger = EpochLogger(store, run, classes=classes)
    steps = _Steps(logger, logits or _logits, ids or _ids)

    def on_epoch_start(self: Any, trainer: Any, module: Any) -> None:
        if not getattr(trainer, "sanity_checking", False):
            if getattr(trainer, "world_size", 1) > 1:
                raise SliceDBError(
                    f"{trainer.world_size} processes train at once, and each would log a part.",
                    "log from one process, or with `db.log_predictions` after the epoch.",
                )
            steps.begin(int(trainer.current_epoch))

    def on_batch_end(
        self: Any, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        steps.step(outputs, batch)

    def on_epoch_end(self: Any, trainer: Any, module: Any) -> None:
        steps.end()

    def on_exception(self: Any, trainer: Any, module: Any, exception: BaseException) -> None:
        steps.drop()

    return type(
        "SliceDBCallback",
        (_base(),),
        {
            f"on_{stage}_epoch_start": on_epoch_start,
            f"on_{stage}_batch_end": on_batch_end,
            f"on_{stage}_epoch_end": on_epoch_end,
            "on_exception": on_exception,
            "logger": logger,
        },
    )()


class _Steps:
    """The log of the running epoch."""

    def __init__(
        self,
        logger: EpochLogger,
        logits: Callable[[Any], Any],
        ids: Callable[[Any], Sequence[str]],
    ) -> None:
        self._logger = logger
        self._logits = logits
        self._ids = ids
        self._open: ExitStack | None = None
        self._log: EpochLog | None = None

    def begin(self, epoch: int) -> None:
        self.drop()
        self._open = ExitStack()
        self._log = self._open.enter_context(self._logger.epoch(epoch))

    def step(self, outputs: Any, batch: Any) -> None:
        if self._log is not None:
            self._log.add(self._ids(batch), logits=self._logits(outputs))

    def end(self) -> None:
        """Store the epoch."""
        if self._open is not None:
            open_log, self._open, self._log = self._open, None, None
            open_log.close()

    def drop(self) -> None:
        """Forget an epoch that did not come to its end."""
        if self._open is not None:
            self._open.pop_all()
        self._open = self._log = None


def _base() -> Any:
    for name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return importlib.import_module(name).Callback
        except ImportError:
            continue
    raise SliceDBError(
        "Lightning is not installed.",
        "`pip install lightning`; EpochLogger does the same for a plain PyTorch loop.",
    )


def _logits(outputs: Any) -> Any:
    found = outputs.get("logits") if isinstance(outputs, Mapping) else outputs
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        raise SliceDBError(
            f"The step returned {type(outputs).__name__}, and no logits are in it.",
            "return {'loss': ..., 'logits': ...} from it, or pass logits=.",
        )
    return found


def _ids(batch: Any) -> Sequence[str]:
    return list(batch[-1])
