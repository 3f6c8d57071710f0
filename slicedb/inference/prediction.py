"""Predict encoded images, and return record batches."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.inference.decoding import Decoding
from slicedb.inference.lists import ListOutputs, run_lists
from slicedb.inference.runner import Outputs, run
from slicedb.metrics.outcomes import Bools
from slicedb.models.contract import check_width
from slicedb.models.model import Model
from slicedb.progress import Bar
from slicedb.tasks import TASKS
from slicedb.tasks.task import ModelOutput

if TYPE_CHECKING:
    import torch

NOT_FINITE = "the model's output is not a finite number"


def predict(
    model: Model,
    items: Iterable[tuple[str, bytes]],
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    progress: Bar | None = None,
    decoding: Decoding | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """Yield one record batch per batch of images, in the order of the items.

    Images are decoded by threads into memory that is used again, resized once, and normalised on
    the device. A GPU computes in bfloat16 with channels last, from page-locked memory, while the
    next batches are decoded; when its memory runs out the batch is halved for good. An image
    that does not decode, or whose output is not finite, costs its own row: all of it is null but
    `id` and `error`.

    Args:
        batch_size: images a batch; None suits the device (8 at 224 pixels on a CPU, 4 for a
            model that takes images as they are).
        decoding: which chip decodes, and what it did; None is the CPU.

    Yields:
        `id`, the columns that the model's task makes of its output (`Task.columns_of_output`),
        and `error`.

    Raises:
        ClassesError: the output has another width than the class list.
        ModelError: the model or its transform fails, or a GPU should decode that cannot.
    """
    how: _How = {
        "batch_size": batch_size,
        "device": device,
        "threads": threads,
        "decoding": decoding,
    }
    outputs: Iterable[Outputs | ListOutputs] = (
        run_lists(model, items, **how) if model.takes_list else run(model, items, **how)
    )
    for output in outputs:
        batch = record_batch(model, output)
        yield batch
        if progress is not None:
            progress.advance(len(batch))


class _How(TypedDict):
    batch_size: int | None
    device: torch.device | str | None
    threads: int | None
    decoding: Decoding | None


def record_batch(model: Model, outputs: Outputs | ListOutputs) -> pa.RecordBatch:
    """Return what a model says of a batch as columns, see `predict`.

    Raises:
        ClassesError: the output has another width than the class list.
    """
    values: ModelOutput = (
        _checked(model, outputs) if isinstance(outputs, Outputs) else outputs.values
    )
    columns, lost = TASKS[model.task].columns_of_output(values, model.about())
    columns = {
        "id": pa.array(outputs.ids, pa.string()),
        **columns,
        "error": pa.array(reasons(outputs.errors, lost), pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def _checked(model: Model, outputs: Outputs) -> npt.NDArray[np.floating]:
    """Return the values as (n, c), NaN throughout where not one image of the batch decoded."""
    values, n = outputs.values, len(outputs.ids)
    if values.shape[1] or not all(outputs.errors):
        check_width(model, values, n)
        return model.logits_of(values) if model.task == "classification" else values
    return np.full((n, model.n_outputs), np.nan, dtype=np.float32)


def reasons(errors: Sequence[str | None], lost: Bools) -> list[str | None]:
    """Return why a row is empty: its image did not decode, or its output is not finite."""
    return [
        error if error is not None else (NOT_FINITE if bad else None)
        for error, bad in zip(errors, lost.tolist())
    ]
