"""Log each epoch's predictions from Lightning, which is imported when the callback is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from slicedb.errors import SliceDBError
from slicedb.show.numbers import count
from slicedb.training.epochs import EpochLog, EpochLogger

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.store import Store


class Trainer(Protocol):
    """What the callback asks of Lightning's trainer."""

    current_epoch: int
    world_size: int
    sanity_checking: bool


def lightning_callback(
    store: Store | Database,
    run: str,
    *,
    classes: Sequence[str] | None = None,
    stage: Literal["validation", "train"] = "validation",
    logits: Callable[[Any], torch.Tensor] | None = None,
    ids: Callable[[Any], Sequence[str]] | None = None,
) -> object:
    """Return a Lightning callback that logs each epoch under `epoch_name(run, epoch)`.

    Args:
        store: the database, or its store.
        run: names the epochs.
        classes: names in the order of the logits; None takes the labels of the samples, sorted.
        stage: whose steps are logged; Lightning's sanity check is left out.
        logits: maps what the step returned to logits (n, c); None takes `outputs["logits"]`, or
            the output itself when it is a matrix.
        ids: maps a batch to its ids; None takes the last part of the batch.

    Raises:
        SliceDBError: Lightning is not installed; later, when several processes train at once.
    """
    logger = EpochLogger(store, run, classes=classes)
    steps = _Steps(logger, logits or _logits, ids or _ids)

    def on_epoch_start(self: object, trainer: Trainer, module: object) -> None:
        if not getattr(trainer, "sanity_checking", False):
            if getattr(trainer, "world_size", 1) > 1:
                raise SliceDBError(
                    f"{count(trainer.world_size, 'process trains', 'processes train')} at once, "
                    "and each would log a part.",
                    "log from one process, or with `db.log_predictions` after the epoch.",
                )
            steps.begin(int(trainer.current_epoch))

    def on_batch_end(
        self: object, trainer: Trainer, module: object, outputs: object, batch: object, *_: object
    ) -> None:
        steps.step(outputs, batch)

    def on_epoch_end(self: object, trainer: Trainer, module: object) -> None:
        steps.end()

    def on_exception(
        self: object, trainer: Trainer, module: object, exception: BaseException
    ) -> None:
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
        logits: Callable[[Any], torch.Tensor],
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

    def step(self, outputs: object, batch: object) -> None:
        if self._log is not None:
            self._log.add(self._ids(batch), logits=self._logits(outputs))

    def end(self) -> None:
        """Store the epoch."""
        if self._open is not None:
            open_log, self._open, self._log = self._open, None, None
            open_log.close()

    def drop(self) -> None:
        """Forget an epoch that was not finished."""
        if self._open is not None:
            self._open.pop_all()
        self._open = self._log = None


def _base() -> type:
    for name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            base: type = importlib.import_module(name).Callback
            return base
        except ImportError:
            continue
    raise SliceDBError(
        "Lightning is not installed.",
        "`pip install lightning`; EpochLogger does the same for a plain PyTorch loop.",
    )


def _logits(outputs: object) -> torch.Tensor:
    logits = outputs.get("logits") if isinstance(outputs, Mapping) else outputs
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise SliceDBError(
            f"The step returned {type(outputs).__name__}, and no logits are in it.",
            "return {'loss': ..., 'logits': ...} from it, or pass logits=.",
        )
    return logits


def _ids(batch: Sequence[Sequence[str]]) -> Sequence[str]:
    return list(batch[-1])
