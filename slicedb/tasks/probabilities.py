"""Turn logits into probabilities, and derive what follows from those alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.tasks.arrays import list_column

_TINY = np.finfo(np.float32).tiny

FloatMatrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassScores:
    """What follows from the probabilities alone."""

    index: npt.NDArray[np.int64]
    """int64 (n,): the most probable class; the first of equals."""
    confidence: npt.NDArray[np.float32]
    """float32 (n,), in (0, 1]: its probability."""
    margin: npt.NDArray[np.float32]
    """float32 (n,), in [0, 1]: confidence minus the probability of the next class."""
    entropy: npt.NDArray[np.float32]
    """float32 (n,), in [0, ln c]: -sum p ln p, in nats."""


def softmax(logits: npt.ArrayLike) -> FloatMatrix:
    """Return probabilities, float32 (n, c), of logits (n, c); a row that is not finite is NaN."""
    wide = np.asarray(logits, dtype=np.float32)
    finite = np.isfinite(wide).all(axis=1, keepdims=True)
    shifted = np.where(finite, wide, 0)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return np.where(finite, probabilities, np.float32(np.nan)).astype(np.float32)


def sigmoid(logits: npt.ArrayLike) -> FloatMatrix:
    """Return probabilities, float32 (n, c), of logits (n, c), each by itself."""
    wide = np.asarray(logits, dtype=np.float64)
    return (0.5 + 0.5 * np.tanh(wide / 2)).astype(np.float32)  # does not overflow, unlike exp


def scores_of(probabilities: npt.ArrayLike) -> ClassScores:
    """Return prediction, confidence, margin and entropy of probabilities (n, c).

    Rows of NaN give NaN, and index 0.

    >>> s = scores_of(np.array([[0.25, 0.75], [1.0, 0.0]], np.float32))
    >>> s.index.tolist(), s.margin.tolist(), s.entropy.round(3).tolist()
    ([1, 0], [0.5, 1.0], [0.5619999766349792, 0.0])
    """
    p = np.asarray(probabilities, dtype=np.float32)
    n, c = p.shape
    known = ~lost_rows(p)
    index = np.where(known, np.argmax(p, axis=1), 0)
    confidence = p[np.arange(n), index]
    second = np.partition(p, c - 2, axis=1)[:, c - 2] if c > 1 else np.zeros(n, np.float32)
    entropy = -np.sum(p * np.log(np.maximum(p, _TINY)), axis=1)
    return ClassScores(
        index=index.astype(np.int64),
        confidence=confidence,
        margin=np.where(known, confidence - second, np.float32(np.nan)).astype(np.float32),
        entropy=np.maximum(entropy, 0).astype(np.float32),
    )


def lost_rows(probabilities: FloatMatrix) -> npt.NDArray[np.bool_]:
    """Return bool (n,): which rows of (n, c) have a NaN."""
    if not probabilities.size or not np.isnan(probabilities.min()):
        return np.zeros(len(probabilities), bool)
    return np.asarray(np.isnan(probabilities).any(axis=1))


def score_columns(probabilities: FloatMatrix, classes: Iterable[str]) -> dict[str, pa.Array]:
    """Return the columns that follow from probabilities (n, c); rows of NaN become null."""
    names = pa.array(list(classes), pa.string())
    scores = scores_of(probabilities)
    lost = lost_rows(probabilities)
    return {
        "prediction": names.take(pa.array(scores.index, mask=lost)),
        "confidence": pa.array(scores.confidence, pa.float32(), mask=lost),
        "margin": pa.array(scores.margin, pa.float32(), mask=lost),
        "entropy": pa.array(scores.entropy, pa.float32(), mask=lost),
        "probabilities": list_column(probabilities, lost),
    }
