"""Batched prediction: encoded images in, record batches out.

Knows neither tables nor slices, so that it runs wherever torch does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.models.model import Model, check_width
from slicedb.models.runner import Outputs, run
from slicedb.progress import Bar

NOT_FINITE = "the model's output is not a finite number"

_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Scores:
    """What follows from the probabilities alone."""

    index: np.ndarray
    """int64 (n,): the most probable class; the first of equals."""
    confidence: np.ndarray
    """float32 (n,), in (0, 1]: its probability."""
    margin: np.ndarray
    """float32 (n,), in [0, 1]: confidence minus the probability of the next class."""
    entropy: np.ndarray
    """float32 (n,), in [0, ln c]: -sum p ln p, in nats."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, float32 (n, c), of logits (n, c); a row that is not finite is NaN."""
    wide = np.asarray(logits, dtype=np.float32)
    finite = np.isfinite(wide).all(axis=1, keepdims=True)
    shifted = np.where(finite, wide, 0)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return np.where(finite, probabilities, np.float32(np.nan)).astype(np.float32)


def scores_of(probabilities: np.ndarray) -> Scores:
    """Return prediction, confidence, margin and entropy of probabilities (n, c).

    Rows of NaN give NaN, and index 0.

    >>> s = scores_of(np.array([[0.25, 0.75], [1.0, 0.0]], np.float32))
    >>> s.index.tolist(), s.margin.tolist(), s.entropy.round(3).tolist()
    ([1, 0], [0.5, 1.0], [0.5619999766349792, 0.0])
    """
    p = np.asarray(probabilities, dtype=np.float32)
    n, c = p.shape
    known = ~np.isnan(p).any(axis=1)
    index = np.where(known, np.argmax(p, axis=1), 0)
    confidence = p[np.arange(n), index]
    second = np.partition(p, c - 2, axis=1)[:, c - 2] if c > 1 else np.zeros(n, np.float32)
    entropy = -np.sum(p * np.log(np.maximum(p, _TINY)), axis=1)
    return Scores(
        index=index.astype(np.int64),
        confidence=confidence,
        margin=np.where(known, confidence - second, np.float32(np.nan)).astype(np.float32),
        entropy=np.maximum(entropy, 0).astype(np.float32),
    )


def output_schema(n_classes: int) -> pa.Schema:
    """Return the schema of what `predict` yields."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("prediction", pa.string()),
            pa.field("confidence", pa.float32()),
            pa.field("margin", pa.float32()),
            pa.field("entropy", pa.float32()),
            pa.field("error", pa.string()),
            pa.field("probabilities", pa.list_(pa.float32(), n_classes)),
        ]
    )


def predict(
    model: Model,
    items: Iterable[tuple[str, bytes]],
    *,
    batch_size: int | None = None,
    device: Any = None,
    threads: int | None = None,
    progress: Bar | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """Yield one record batch a batch of images, in the order of the items.

    Images are decoded by threads into memory used again, resized once, and normalised on the
    device. A GPU computes in bfloat16 with channels last, from page-locked memory, while the
    next batches are decoded; when its memory runs out the batch is halved for good. An image
    that does not decode, or whose output is not finite, costs its own row: all of it is null but
    `id` and `error`.

    Args:
        model: any `Model`.
        items: (id, encoded image).
        batch_size: images a batch; None suits the device (16 at 224 pixels on a CPU).
        device: a torch device or its name; None takes a GPU when there is one.
        threads: decoding threads; None takes the cores.
        progress: counts the images.

    Yields:
        Record batches of `output_schema`.

    Raises:
        ClassesError: the output has another width than the class list.
        ModelError: the model or its transform fails.
    """
    for outputs in run(model, items, batch_size=batch_size, device=device, threads=threads):
        yield _record_batch(model, outputs)
        if progress is not None:
            progress.advance(len(outputs.ids))


def _record_batch(model: Model, outputs: Outputs) -> pa.RecordBatch:
    n, c = len(outputs.ids), len(model.classes)
    values = outputs.values
    if values.shape[1] or not all(outputs.errors):
        check_width(model, values, n)
    else:
        values = np.full((n, c), np.nan, dtype=np.float32)
    probabilities = softmax(values)
    lost = np.isnan(probabilities[:, 0])
    errors = [
        error if error is not None else (NOT_FINITE if bad else None)
        for error, bad in zip(outputs.errors, lost.tolist())
    ]
    columns = {
        "id": pa.array(outputs.ids, pa.string()),
        **columns_of(probabilities, model.classes),
        "error": pa.array(errors, pa.string()),
    }
    schema = output_schema(c)
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def columns_of(probabilities: np.ndarray, classes: Iterable[str]) -> dict[str, pa.Array]:
    """Return the columns that follow from probabilities (n, c); rows of NaN become null."""
    names = pa.array(list(classes), pa.string())
    scores = scores_of(probabilities)
    lost = np.isnan(probabilities).any(axis=1)
    return {
        "prediction": names.take(pa.array(scores.index, mask=lost)),
        "confidence": pa.array(scores.confidence, pa.float32(), mask=lost),
        "margin": pa.array(scores.margin, pa.float32(), mask=lost),
        "entropy": pa.array(scores.entropy, pa.float32(), mask=lost),
        "probabilities": rows_to_list(probabilities, lost),
    }


def rows_to_list(matrix: np.ndarray, null: np.ndarray) -> pa.Array:
    """Return a float32 matrix (n, c) as a fixed-size list column, null where `null` (n,) is."""
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
    mask = pa.array(null) if null.any() else None
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1], mask=mask)
