"""Tell two sets of samples apart by their vectors: adversarial validation.

A ridge regression on which set a sample is in, scored on samples it has not seen. The area under
its ROC curve is 0.5 where the sets are alike; its p-value comes from permuting the sets, whole
groups at a time. All permutations are solved together, since they share the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.curate.chance import Chance, folds_of, p_of
from slicedb.curate.units import Ints
from slicedb.progress import SILENT, Bar

Floats = npt.NDArray[np.float64]

_MOST = 2000
"""Samples taken of each set."""
_DRAWS = 499
_DIMENSIONS = 128
"""Principal components that are looked at."""
_TINY = 1e-9
_RIDGE = 1e-2
"""Relative to the mean variance."""


@dataclass(frozen=True, eq=False)
class Domain:
    """How well vectors tell two sets apart."""

    auc: float
    """Area under the ROC curve on samples that were held out; 0.5 tells nothing."""
    p: float
    """By permutation."""
    n_a: int
    n_b: int
    """Samples that were looked at."""
    score: Floats
    """float64 (m,): of the samples looked at; larger is more like the second set."""
    rows: Ints
    """int64 (m,): which of the samples they are."""


def domain(vectors: npt.NDArray[np.float32], chance: Chance, bar: Bar = SILENT) -> Domain:
    """Fit a classifier of which set a sample is in, and score it on held-out samples.

    Args:
        vectors: float32 (n, d), unit length, without NaN.
        chance: which samples are in the second set.
        bar: given the number of folds, and advanced by one for each.
    """
    rows = _some(chance)
    x = vectors[rows].astype(np.float64)
    x -= x.mean(axis=0)
    if x.shape[1] > _DIMENSIONS or x.shape[1] > len(x):
        _, _, directions = np.linalg.svd(x, full_matrices=False)
        x = x @ directions[:_DIMENSIONS].T
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    unit = np.arange(len(rows)) if chance.unit is None else chance.unit[rows]
    _, unit = np.unique(unit, return_inverse=True)
    drawn = Chance(chance.is_b[rows], unit, chance.seed, _DRAWS)
    labels = np.concatenate(drawn.labels(), axis=1)[unit]  # (m, draws)
    y = np.concatenate([chance.is_b[rows].astype(np.float64)[:, None], labels], axis=1)
    fold = folds_of(unit, chance.seed)
    scores = np.zeros_like(y)
    penalty = np.eye(x.shape[1]) * (_RIDGE * np.mean(x[:, :-1] ** 2) + _TINY)
    bar.total(int(fold.max()) + 1)
    for k in range(int(fold.max()) + 1):
        bar.advance()
        seen, held = fold != k, fold == k
        if not seen.any():  # a single group
            break
        gram = x[seen].T @ x[seen] + penalty * seen.sum()
        scores[held] = x[held] @ np.linalg.solve(gram, x[seen].T @ y[seen])
    areas = _areas(scores, y)
    is_b = chance.is_b[rows]
    n_b = int(is_b.sum())
    return Domain(float(areas[0]), p_of(areas), len(rows) - n_b, n_b, scores[:, 0], rows)


def area(score: Floats, is_b: npt.NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve; equal scores count half.

    >>> area(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True]))
    0.875
    """
    values, place = np.unique(score, return_inverse=True)
    b = np.bincount(place, is_b, len(values))
    a = np.bincount(place, ~is_b, len(values))
    return float((b * (np.cumsum(a) - a / 2)).sum() / max(1.0, a.sum() * b.sum()))


def _some(chance: Chance) -> Ints:
    """Return at most so many samples of each set, drawn by the seed."""
    rng = np.random.default_rng(chance.seed)
    parts = []
    for side in (~chance.is_b, chance.is_b):
        rows = np.flatnonzero(side)
        parts.append(rows if len(rows) <= _MOST else rng.choice(rows, _MOST, replace=False))
    return np.sort(np.concatenate(parts))


def _areas(scores: Floats, y: Floats) -> Floats:
    """Return float64 (k,): the area under the ROC curve of each column, weights for labels."""
    order = np.argsort(scores, axis=0)
    ordered = np.take_along_axis(y, order, axis=0)
    below = np.cumsum(1 - ordered, axis=0) - (1 - ordered) / 2
    positive, negative = y.sum(axis=0), (1 - y).sum(axis=0)
    return np.asarray((below * ordered).sum(axis=0) / np.maximum(positive * negative, 1e-12))
