"""What a loader does with a batch before it gives it away: collate, move, transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from slicedb.errors import SliceDBError
from slicedb.show.numbers import count
from slicedb.training.batch import Batch

Collate: TypeAlias = Callable[[list[tuple[Any, ...]]], Any]
"""Makes a batch of items `(image, label, id)`, as torch's DataLoader asks it."""
BatchTransform: TypeAlias = Callable[..., Any]
"""Maps images and the values beside them, whole batches, such as torchvision's `v2.MixUp`."""


@dataclass(frozen=True)
class After:
    """The steps after a batch is decoded, in the caller's thread and on the device."""

    collate: Collate | None = None
    device: torch.device | str | None = None
    transform: BatchTransform | None = None

    def __call__(self, batch: Batch) -> Any:
        """Return the batch as training code gets it.

        Raises:
            SliceDBError: the transform gives another number of values than it got.
        """
        if self.device is not None:
            batch = tuple(_moved(value, self.device) for value in batch)
        if self.transform is not None:
            batch = self._transformed(batch)
        return batch if self.collate is None else self.collate(list(zip(*batch)))

    def _transformed(self, batch: Batch) -> Batch:
        *values, ids = batch
        assert self.transform is not None
        made = self.transform(*values)
        if not isinstance(made, tuple | list) or (len(values) == 1 and len(made) != 1):
            made = (made, *values[1:])  # images alone: what stands beside them stays
        if len(made) != len(values):
            raise SliceDBError(
                f"The batch_transform got {count(len(values), 'value')} and gave {len(made)}.",
                "it takes images and the columns beside them, and returns as many, or images "
                "alone; the ids are kept for it.",
            )
        return (*made, ids)


def _moved(value: Any, device: torch.device | str) -> Any:
    """Return tensors, also in lists and dicts, on a device; anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {name: _moved(inner, device) for name, inner in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor | dict):
        return [_moved(inner, device) for inner in value]
    return value
