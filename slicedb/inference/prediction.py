"""Batched prediction: encoded images in, record batches out.

Knows neither tables nor slices, so that it runs wherever torch does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.inference.detecting import Detected, detect
from slicedb.inference.runner import Outputs, run
from slicedb.models.detector import Detector, Found
from slicedb.models.model import Model, check_width
from slicedb.progress import Bar
from slicedb.schema import OBJECT

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


DETECTIONS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("objects", pa.list_(OBJECT)),
        pa.field("error", pa.string()),
    ]
)
"""The schema of what `predict` yields of a detector."""

NUMBERS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("error", pa.string()),
    ]
)
"""The schema of what `predict` yields of a regression."""


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
        batch_size: images a batch; None suits the device (8 at 224 pixels on a CPU, 4 for a
            detector, which takes images as they are).
        device: a torch device or its name; None takes a GPU when there is one.
        threads: decoding threads; None takes the cores.
        progress: counts the images.

    Yields:
        Record batches of `output_schema`; of `DETECTIONS` for a detector, of `NUMBERS` for a
        regression.

    Raises:
        ClassesError: the output has another width than the class list.
        ModelError: the model or its transform fails.
    """
    how: dict[str, Any] = {"batch_size": batch_size, "device": device, "threads": threads}
    if isinstance(model, Detector):
        batches: Any = (_detections(model, seen) for seen in detect(model, items, **how))
    else:
        finish = _numbers if model.task == "regression" else _record_batch
        batches = (finish(model, outputs) for outputs in run(model, items, **how))
    for batch in batches:
        yield batch
        if progress is not None:
            progress.advance(len(batch))


def _detections(model: Detector, seen: Detected) -> pa.RecordBatch:
    errors = pa.array(seen.errors, pa.string())
    objects = objects_of(seen.found, model.classes)
    return pa.RecordBatch.from_arrays([pa.array(seen.ids), objects, errors], schema=DETECTIONS)


def objects_of(found: Sequence[Found | None], classes: Sequence[str]) -> pa.Array:
    """Return a column of objects, null where there is None."""
    known = [f for f in found if f is not None]
    xywh = np.concatenate([np.empty((0, 4)), *(f.xywh for f in known)])
    label = np.concatenate([np.empty(0, np.int64), *(f.label for f in known)])
    score = np.concatenate([np.empty(0), *(f.score for f in known)])
    n = len(label)
    boxes = pa.ListArray.from_arrays(pa.array(np.arange(n + 1) * 4, pa.int32()), xywh.ravel())
    labels = pa.array(list(classes), pa.string()).take(pa.array(label))
    struct = pa.StructArray.from_arrays(
        [labels, boxes, pa.array(score), pa.nulls(n, pa.string())], fields=list(OBJECT)
    )
    sizes = np.array([0 if f is None else len(f.label) for f in found], np.int64)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    mask = pa.array([f is None for f in found]) if len(known) < len(found) else None
    return pa.ListArray.from_arrays(offsets, struct, mask=mask)


def _numbers(model: Model, outputs: Outputs) -> pa.RecordBatch:
    values, n = outputs.values, len(outputs.ids)
    if values.shape[1] or not all(outputs.errors):
        check_width(model, values, n)
    column = values[:, 0].astype(np.float64) if values.shape[1] else np.full(n, np.nan)
    lost = ~np.isfinite(column)
    errors = _reasons(outputs.errors, lost)
    columns = [pa.array(outputs.ids), pa.array(column, mask=lost), pa.array(errors, pa.string())]
    return pa.RecordBatch.from_arrays(columns, schema=NUMBERS)


def _reasons(errors: Sequence[str | None], lost: np.ndarray) -> list[str | None]:
    return [
        error if error is not None else (NOT_FINITE if bad else None)
        for error, bad in zip(errors, lost.tolist())
    ]


def _record_batch(model: Model, outputs: Outputs) -> pa.RecordBatch:
    n, c = len(outputs.ids), len(model.classes)
    values = outputs.values
    if values.shape[1] or not all(outputs.errors):
        check_width(model, values, n)
    else:
        values = np.full((n, c), np.nan, dtype=np.float32)
    probabilities = softmax(values)
    lost = np.isnan(probabilities[:, 0])
    errors = _reasons(outputs.errors, lost)
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
