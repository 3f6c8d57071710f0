"""Ground truth against predictions: `loss` and `correct` of the current labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_TINY = np.finfo(np.float32).tiny


def truth_of(
    labels: pa.Array,
    prediction: pa.Array,
    probabilities: np.ndarray | None,
    classes: Sequence[str],
) -> dict[str, pa.Array]:
    """Return the columns that speak of the ground truth.

    `correct` is `prediction = label` as SQL has it: null without a label or a prediction, and
    false for a label that is none of the model's classes. `loss` is the cross entropy
    -ln p(label) in nats, at most 87.3 (the smallest float32); it is null where the label is
    missing or none of the classes, and where there are no probabilities.

    Args:
        labels: string (n,), null where unknown.
        prediction: string (n,).
        probabilities: float32 (n, c), NaN where unknown; None when there are none.
        classes: the c class names.
    """
    correct = pc.equal(prediction, labels)
    if probabilities is None or not len(labels):
        loss = pa.nulls(len(labels), pa.float32())
    else:
        at = pc.index_in(labels, value_set=pa.array(list(classes), pa.string()))
        known = at.is_valid().to_numpy(zero_copy_only=False)
        column = at.fill_null(0).to_numpy(zero_copy_only=False)
        p = probabilities[np.arange(len(column)), column]
        values = np.maximum(-np.log(np.maximum(p, _TINY)), 0).astype(np.float32)
        loss = pa.array(values, pa.float32(), mask=~known | np.isnan(p))
    return {"loss": loss, "correct": correct, "label": labels}


def matrix_of(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a fixed-size list column as float32 (n, c), NaN where it is null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # what pyarrow makes of no chunks at all
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    width = array.type.list_size
    start = array.offset * width
    values = array.values.slice(start, len(array) * width)
    matrix: np.ndarray = values.to_numpy(zero_copy_only=False).reshape(len(array), width)
    if array.null_count:
        matrix = matrix.copy()
        matrix[~array.is_valid().to_numpy(zero_copy_only=False)] = np.nan
    return matrix


def differs(old: pa.Array | pa.ChunkedArray, new: pa.Array) -> np.ndarray:
    """Return bool (n,): where two columns differ, null being a value of its own."""
    one_null = pc.xor(pc.is_null(old), pc.is_null(new))
    unequal = pc.fill_null(pc.not_equal(old, new), False)
    return np.asarray(pc.or_(one_null, unequal))
