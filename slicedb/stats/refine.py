"""Add a direction to a score: logistic regression, shrunk towards no direction at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SHRINK = (0.3, 1.0, 3.0, 10.0)
"""Weights of the squared length of the direction that are tried."""
FOLDS = 5
LEAST = 8
"""Labels of either kind under which no direction is looked for."""


class Part(NamedTuple):
    """A direction fitted without some of the labels, which can judge it."""

    slope: float
    direction: Array
    """float64 (d,)."""
    judges: npt.NDArray[np.intp]
    """Places of the labels that it was fitted without."""


class Refined(NamedTuple):
    """A direction fitted on all labels, and those fitted without a fold of them."""

    slope: float
    direction: Array
    """float64 (d,)."""
    parts: tuple[Part, ...]


def refine(score: npt.ArrayLike, vectors: npt.ArrayLike, labels: npt.ArrayLike) -> Refined | None:
    """Return `slope x score + vectors @ direction` where it is no worse than the score.

    Labels outside five folds judge what is fitted in them: their likelihood chooses how much the
    direction is shrunk, and where the score alone is the likeliest there is none.

    Args:
        score: float (n,), log-odds.
        vectors: float (n, d), unit length.
        labels: bool (n,).
    """
    z, x, y = np.asarray(score, float), np.asarray(vectors, float), np.asarray(labels, bool)
    if min(y.sum(), (~y).sum()) < LEAST or not np.ptp(x, axis=0).any():
        return None
    folds = _folds(y)
    plain = _held_out(z, x, y, folds, np.inf)[0]
    best: Refined | None = None
    gained = 0.0
    for shrink in SHRINK:
        losses, parts = _held_out(z, x, y, folds, shrink)
        gain = float((plain - losses).mean())
        if gain > gained:
            _, slope, direction = _fit(z, x, y, shrink)
            best, gained = Refined(slope, direction, parts), gain
    return best


def _folds(y: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the fold of each label, positives and negatives spread alike."""
    folds = np.empty(len(y), dtype=np.int64)
    for kind in (True, False):
        folds[y == kind] = np.arange((y == kind).sum()) % FOLDS
    return folds


def _held_out(
    z: Array, x: Array, y: npt.NDArray[np.bool_], folds: npt.NDArray[np.int64], shrink: float
) -> tuple[Array, tuple[Part, ...]]:
    """Return the held-out loss of each label, and the directions that gave it."""
    losses, parts = np.empty(len(z)), []
    for fold in range(FOLDS):
        out = folds == fold
        offset, slope, direction = _fit(z[~out], x[~out], y[~out], shrink)
        odds = offset + slope * z[out] + x[out] @ direction
        losses[out] = np.logaddexp(0, -np.where(y[out], 1, -1) * odds)
        parts.append(Part(slope, direction, np.flatnonzero(out)))
    return losses, tuple(parts)


def _fit(z: Array, x: Array, y: npt.NDArray[np.bool_], shrink: float) -> tuple[float, float, Array]:
    """Return offset, slope and direction; the slope is shrunk towards 1."""
    from scipy.optimize import minimize

    d = 0 if np.isinf(shrink) else x.shape[1]
    sign = np.where(y, 1.0, -1.0)

    def loss(w: Array) -> tuple[float, Array]:
        margin = sign * (w[0] + w[1] * z + x[:, :d] @ w[2:])
        pull = -sign * np.exp(-np.logaddexp(0, margin))
        value = np.logaddexp(0, -margin).sum() + (w[1] - 1) ** 2
        value += shrink * (w[2:] @ w[2:]) / 2 if d else 0.0
        ridge = shrink * w[2:] if d else w[2:]
        slopes = [pull.sum(), pull @ z + 2 * (w[1] - 1)]
        return float(value), np.concatenate([slopes, x[:, :d].T @ pull + ridge])

    fitted = minimize(loss, np.r_[0.0, 1.0, np.zeros(d)], jac=True, method="L-BFGS-B").x
    direction = np.zeros(x.shape[1])
    direction[:d] = fitted[2:]
    return float(fitted[0]), float(fitted[1]), direction
