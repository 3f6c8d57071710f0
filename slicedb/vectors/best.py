"""Find the k largest of a column of scores."""

from __future__ import annotations

import numpy as np

_BLOCK = 512
"""Scores whose maximum is taken together."""


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the rows of the k largest scores, largest first; ties keep the order of the rows.

    Args:
        scores: float32 (n,); NaN is never among them.
        k: how many, from 1; fewer are returned when there are fewer.

    >>> best(np.array([1.0, 3.0, 3.0, np.nan, 2.0]), 3).tolist()
    [1, 2, 4]
    """
    rows = at_least_best(scores, k)
    return rows[np.lexsort((rows, -scores[rows]))][:k]


def at_least_best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the rows, ascending, of all scores that are not below the k-th largest.

    The k-th largest maximum of the blocks is a lower bound of the k-th largest score: k blocks
    hold at least one score each that reaches it. Few scores are left to partition then, and one
    pass over the maxima is much cheaper than a partition of everything.
    """
    n = len(scores)
    floor = -np.inf
    if n >= 4 * k * _BLOCK:
        whole = n - n % _BLOCK
        maxima = np.fmax.reduce(scores[:whole].reshape(-1, _BLOCK), axis=1)
        maxima = maxima[~np.isnan(maxima)]
        if len(maxima) > k:
            floor = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
    rows = np.flatnonzero(scores >= floor)  # NaN is never at least anything
    if k < len(rows):
        few = scores[rows]
        rows = rows[few >= np.partition(few, len(few) - k)[len(few) - k]]
    return rows
