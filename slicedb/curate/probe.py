"""A linear classifier on vectors: what can be said of a sample from the labels there are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slicedb.metrics.outcomes import Floats, Ints

_RIDGE = 1e-2
_STEPS = 60
_MOST = 20_000
"""Labelled samples that are fitted to; more are drawn from."""


def probe(
    vectors: npt.NDArray[np.float32],
    label: Ints,
    asked: npt.NDArray[np.float32],
    seed: int = 0,
) -> Floats:
    """Return float64 (m, c): the probabilities of classes by multinomial logistic regression.

    Args:
        vectors: float32 (n, d), unit length.
        label: int64 (n,), from 0 to c - 1.
        asked: float32 (m, d), unit length.
        seed: of what is drawn where more are labelled than are fitted to.
    """
    from scipy.optimize import minimize

    if len(vectors) > _MOST:
        rows = np.random.default_rng(seed).choice(len(vectors), _MOST, replace=False)
        vectors, label = vectors[rows], label[rows]
    mean = vectors.mean(axis=0)
    scale = np.float32(np.sqrt(vectors.shape[1]))  # so that the ridge means the same in any width
    x = _with_one((vectors - mean) * scale)
    c = int(label.max()) + 1
    truth = np.eye(c, dtype=np.float32)[label]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(x.shape[1], c).astype(np.float32)
        p = _softmax(x @ weights)
        error = -np.log(np.maximum((p * truth).sum(axis=1), 1e-30)).mean()
        slope = x.T @ (p - truth) / len(x) + _RIDGE * weights
        penalty = _RIDGE * float((weights * weights).sum()) / 2
        return float(error) + penalty, slope.astype(np.float64).ravel()

    found = minimize(
        loss, np.zeros(x.shape[1] * c), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    weights = found.x.reshape(x.shape[1], c).astype(np.float32)
    return _softmax(_with_one((asked - mean) * scale) @ weights).astype(np.float64)


def _with_one(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)


def _softmax(z: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
