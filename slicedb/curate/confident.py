"""Confident learning: which labels a model's probabilities speak against, and how loudly.

The probabilities must come from a model that did not see the labels it is asked about: one that
did repeats what it was told. Confident learning (Northcutt, Jiang and Chuang, JAIR 2021) counts a
sample for a class where its probability is at least that of the average sample with that label.

>>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8]])
>>> label = np.array([0, 0, 0, 1, 1])
>>> joint(label, p).counts.tolist()
[[2, 1], [0, 1]]
>>> suspects(label, p).tolist()
[False, False, True, False, False]
>>> margin(label, p).round(2).tolist()
[0.9, 0.8, 0.1, 0.7, 0.8]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.metrics.outcomes import Bools, Floats, Ints

_NEAR = 1e-6
"""Two probabilities that differ by less are one, as in cleanlab, so that counts agree."""
_LEAST = 2 * _NEAR
_NEVER = 2.0
"""The threshold of a class that no sample has as its label: no probability reaches it."""

_ROWS = 4096
"""Rows looked at together."""


@dataclass(frozen=True, eq=False)
class Joint:
    """The confident joint: given labels against the classes that samples are counted for."""

    counts: Ints
    """int64 (c, c): row = label, column = class counted for."""
    taken: Ints
    """int64 (n,): the class that a sample is counted for, -1 where it is counted for none."""

    def calibrated(self, label: Ints) -> Ints:
        """Return int64 (c, c): how many samples are of which label and which true class.

        Rows sum to the number of samples with that label. A class always counts one sample of its
        own, so that no row is empty.
        """
        counts = self.counts.astype(np.float64)
        own = np.diag_indices(len(counts))
        counts[own] = np.maximum(counts[own], 1)
        given = np.bincount(label, minlength=len(counts))
        return _whole(counts / counts.sum(axis=1, keepdims=True) * given[:, None])


def _whole(values: Floats) -> Ints:
    """Return int64 (r, c): rounded so that each row keeps its sum, which is whole."""
    rounded = np.round(values)
    for row, exact in zip(rounded, values):
        left = int(np.round(exact.sum() - row.sum()))
        step = 1 if left > 0 else -1
        row[np.argsort(exact - row, kind="stable")[::-step][: abs(left)]] += step
    return rounded.astype(np.int64)


def thresholds(label: Ints, p: Floats) -> Floats:
    """Return float64 (c,): the mean probability of each class among the samples with that label.

    Args:
        label: int64 (n,), below c.
        p: float64 (n, c).
    """
    c = p.shape[1]
    total = np.bincount(label, self_confidence(label, p), c)
    given = np.bincount(label, minlength=c)
    mean = np.divide(total, given, out=np.full(c, _NEVER), where=given > 0)
    return np.asarray(np.maximum(mean, _LEAST))


def joint(label: Ints, p: Floats) -> Joint:
    """Count each sample for the class whose threshold it reaches; of several for its likeliest.

    Args:
        label: int64 (n,), below c.
        p: float64 (n, c).
    """
    c = p.shape[1]
    cut = thresholds(label, p) - _NEAR
    taken = np.empty(len(p), np.int64)
    numbers = np.stack([np.ones(c), np.arange(c)]).astype(np.float32)
    for rows, columns in _blocks(p):
        reached = (columns >= cut[:, None]).astype(np.float32)  # (c, m)
        n_reached, only = numbers @ reached  # (2, c) @ (c, m): how many, and which one it is
        taken[rows] = np.where(n_reached == 1, only, -1)
        several = rows.start + np.flatnonzero(n_reached > 1)
        taken[several] = p[several].argmax(axis=1)
    is_counted = taken >= 0
    cells = label[is_counted] * c + taken[is_counted]
    return Joint(np.bincount(cells, minlength=c * c).reshape(c, c), taken)


def suspects(label: Ints, p: Floats, counted: Joint | None = None) -> Bools:
    """Return bool (n,): samples that are counted for another class than that of their label.

    A sample whose label is also the likeliest class is none, whatever the thresholds say.

    Args:
        label: int64 (n,), below c.
        p: float64 (n, c).
        counted: the confident joint, if it is known already.
    """
    taken = (joint(label, p) if counted is None else counted).taken
    beaten = margin(label, p) < 0.5 - _NEAR / 2
    return np.asarray((taken >= 0) & (taken != label) & beaten)


def self_confidence(label: Ints, p: Floats) -> Floats:
    """Return float64 (n,) in [0, 1]: the probability of the label."""
    return np.asarray(p[np.arange(len(label)), label], np.float64)


def margin(label: Ints, p: Floats) -> Floats:
    """Return float64 (n,) in [0, 1]: the normalised margin of the label over the next class.

    (p(label) - largest p of another class + 1) / 2; below 0.5 another class is likelier.
    """
    result = np.empty(len(p))
    for rows, columns in _blocks(p):
        at = label[rows], np.arange(columns.shape[1])
        own = columns[at]
        columns[at] = -1
        result[rows] = (own - columns.max(axis=0) + 1) / 2
    return result


def rival(label: Ints, p: Floats) -> Ints:
    """Return int64 (n,): the likeliest class that is not the label's."""
    others = np.array(p, np.float64)
    others[np.arange(len(label)), label] = -1
    return np.asarray(others.argmax(axis=1))


def weighted_entropy(label: Ints, p: Floats) -> Floats:
    """Return float64 (n,) in [0, 1]: the confidence-weighted entropy, low where a label is doubted.

    log(1 + h) / h of the normalised entropy over the probability of the label.
    """
    entropy = np.empty(len(p))
    for rows, columns in _blocks(p):
        logs = np.log(np.maximum(columns, np.finfo(np.float64).tiny))
        entropy[rows] = -np.einsum("cm,cm->m", columns, logs) / np.log(len(columns))
    ratio = entropy / np.maximum(self_confidence(label, p), _NEAR)
    return np.asarray(np.log1p(ratio) / np.maximum(ratio, _NEAR))


def _blocks(p: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield rows, and their float64 (c, m) as a copy.

    Maxima and sums over short rows take ten times as long as over columns that fit the cache.
    """
    for start in range(0, len(p), _ROWS):
        rows = slice(start, min(start + _ROWS, len(p)))
        yield rows, np.array(p[rows].T, np.float64, order="C")


Score = Callable[[Ints, npt.NDArray[np.float64]], Floats]
SCORES: Mapping[str, Score] = {
    "margin": margin,
    "self-confidence": self_confidence,
    "entropy": weighted_entropy,
}
"""How labels are ranked: float64 (n,) in [0, 1], the lowest is the likeliest error."""
