"""Name the epochs of a training run as models: `run7_epoch0`, `run7_epoch1`, ..."""

from __future__ import annotations

import re

from slicedb.models.names import check_name
from slicedb.schema import PREDICTIONS
from slicedb.store import Store


def epoch_name(run: str, epoch: int) -> str:
    """Return the name of an epoch's predictions in queries.

    Each stretch of characters that are not letters, digits or underscores becomes one underscore,
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
