"""Turn logits into probabilities, and derive what follows from those alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.tasks.arrays import list_column

_TINY = np.finfo(np.float32).tiny

_SUMS_TO_ONE = 2e-3
"""How far from one the sum of probabilities may be, in half precision."""

FloatMatrix = npt.NDArray[np.floating]
"""float32, or float64 where it was made of float64."""


@dataclass(frozen=True)
class ClassScores:
    """What follows from the probabilities alone."""

    index: npt.NDArray[np.int64]
    """int64 (n,): the most probable class; the first of equals."""
    confidence: npt.NDArray[np.floating]
    """(n,), in (0, 1]: its probability."""
    margin: npt.NDArray[np.floating]
    """(n,), in [0, 1]: confidence minus the probability of the next class."""
    entropy: npt.NDArray[np.floating]
    """(n,), in [0, ln c]: -sum p ln p, in nats."""


def are_probabilities(rows: npt.NDArray[np.floating]) -> bool:
    """Return whether every row (n, c), c > 1, is non-negative and sums to one; NaN rows are out.

    The logits of a network do neither: rows that do have been through a softmax already.

    >>> are_probabilities(np.array([[0.1, 0.9], [1.0, 0.0]])), are_probabilities(np.zeros((2, 3)))
    (True, False)
    """
    known = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
    if rows.shape[1] < 2 or not len(known):
        return False
    return bool((known >= 0).all() and (np.abs(known.sum(axis=1) - 1) <= _SUMS_TO_ONE).all())


Given: TypeAlias = Literal["auto", "logits", "probabilities"]
"""What a classifier gives; "auto" tells by the rows."""


def as_logits(
    output: npt.NDArray[np.floating], n_classes: int, given: Given = "auto"
) -> npt.NDArray[np.floating]:
    """Return what a classifier gives, (n, c) or (n, 1), as logits (n, c).

    Rows that are probabilities become their logarithms, which softmax turns back. One number for
    two classes is the logit of the second against the first, as binary heads have it, or its
    probability.

    >>> softmax(as_logits(np.array([[0.25, 0.75]]), 2)).round(9).tolist()
    [[0.25, 0.75]]
    >>> softmax(as_logits(np.array([[0.0]]), 2)).tolist()
    [[0.5, 0.5]]
    >>> softmax(as_logits(np.array([[0.25]]), 2, "probabilities")).round(9).tolist()
    [[0.75, 0.25]]
    """
    if output.shape[1] == 1 and n_classes == 2:
        if given != "probabilities":
            return np.concatenate([np.zeros_like(output), output], axis=1)
        output = np.concatenate([1 - output, output], axis=1)
    if given == "probabilities" or (given == "auto" and are_probabilities(output)):
        return np.asarray(np.log(np.maximum(output, _TINY)))
    return output


def in_own_precision(values: npt.ArrayLike) -> FloatMatrix:
    """Return numbers as float64 where they are, or are no floats, and else as float32.

    >>> str(in_own_precision([0.5]).dtype), str(in_own_precision(np.float16([0.5])).dtype)
    ('float64', 'float32')
    """
    array = np.asarray(values)
    is_short = array.dtype.kind in "fV" and array.dtype.itemsize <= 4  # "V": bfloat16
    return array.astype(np.float32 if is_short else np.float64, copy=False)


def softmax(logits: npt.ArrayLike) -> FloatMatrix:
    """Return probabilities of logits (n, c), as precise; a row that is not finite is NaN."""
    wide = in_own_precision(logits)
    finite = np.isfinite(wide).all(axis=1, keepdims=True)
    shifted = np.where(finite, wide, 0)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return np.where(finite, probabilities, np.nan).astype(wide.dtype)


def sigmoid(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return probabilities, float64 (n, c), of logits (n, c), each by itself."""
    wide = np.asarray(logits, dtype=np.float64)
    return np.asarray(0.5 + 0.5 * np.tanh(wide / 2))  # does not overflow, unlike exp


def scores_of(probabilities: npt.ArrayLike, index: npt.ArrayLike | None = None) -> ClassScores:
    """Return prediction, confidence, margin and entropy of probabilities (n, c).

    Rows of NaN give NaN, and index 0.

    Args:
        probabilities: (n, c).
        index: (n,), the predicted class of each row where others may be as probable; None is the
            first of the most probable ones.

    >>> s = scores_of(np.array([[0.25, 0.75], [1.0, 0.0]], np.float32))
    >>> s.index.tolist(), s.margin.tolist(), s.entropy.round(3).tolist()
    ([1, 0], [0.5, 1.0], [0.5619999766349792, 0.0])
    """
    p = in_own_precision(probabilities)
    n, c = p.shape
    known = ~lost_rows(p)
    index = np.where(known, np.argmax(p, axis=1) if index is None else np.asarray(index), 0)
    confidence = p[np.arange(n), index]
    second = np.partition(p, c - 2, axis=1)[:, c - 2] if c > 1 else np.zeros(n, p.dtype)
    entropy = -np.sum(p * np.log(np.maximum(p, _TINY)), axis=1)
    margin = np.maximum(confidence - second, 0)  # below 0 where rounding chose the class
    return ClassScores(
        index=index.astype(np.int64),
        confidence=confidence,
        margin=np.where(known, margin, np.nan).astype(p.dtype),
        entropy=np.maximum(entropy, 0),
    )


def lost_rows(probabilities: FloatMatrix) -> npt.NDArray[np.bool_]:
    """Return bool (n,): which rows of (n, c) have a NaN."""
    if not probabilities.size or not np.isnan(probabilities.min()):
        return np.zeros(len(probabilities), bool)
    return np.asarray(np.isnan(probabilities).any(axis=1))


def score_columns(
    probabilities: FloatMatrix,
    classes: Iterable[str],
    *,
    logits: npt.NDArray[np.floating] | None = None,
    index: npt.NDArray[np.int64] | None = None,
) -> dict[str, pa.Array]:
    """Return the columns that follow from probabilities (n, c); rows of NaN become null.

    Args:
        probabilities: float32 or float64 (n, c), and stored so; the figures have seven digits.
        classes: their names.
        logits: (n, c), what the probabilities were made of. They tell classes apart whose
            probabilities are equal but for rounding.
        index: int64 (n,), the predicted classes where they are known.
    """
    names = pa.array(list(classes), pa.string())
    if index is None and logits is not None and logits.shape[1]:
        index = logits.argmax(axis=1)
    scores = scores_of(probabilities, index)
    margin = scores.margin
    if logits is not None:
        near = np.flatnonzero(margin == 0)
        margin[near] = scores_of(softmax(logits[near].astype(np.float64))).margin
    lost = lost_rows(probabilities)
    return {
        "prediction": names.take(pa.array(scores.index, mask=lost)),
        "confidence": pa.array(scores.confidence.astype(np.float32), mask=lost),
        "margin": pa.array(margin.astype(np.float32), mask=lost),
        "entropy": pa.array(scores.entropy.astype(np.float32), mask=lost),
        "probabilities": list_column(probabilities, lost),
    }
