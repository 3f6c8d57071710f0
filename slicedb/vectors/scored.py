"""Columns of scores: the best of them, their order as another table has it, their Arrow table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the k largest, largest first, ties in their order.

    Args:
        scores: float32 (n,); NaN is never among them.
        k: how many, from 1; fewer come back when there are fewer.

    >>> best(np.array([1.0, 3.0, 3.0, np.nan, 2.0]), 3).tolist()
    [1, 2, 4]
    """
    at = at_least_best(scores, k)
    return at[np.lexsort((at, -scores[at]))][:k]


def at_least_best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the places, rising, of all scores not below the k-th largest.

    The k-th largest of the maxima of blocks is a floor under it, which leaves few to sort.
    """
    n, block = len(scores), 512
    floor = -np.inf
    if n >= 4 * k * block:
        whole = n - n % block
        maxima = np.fmax.reduce(scores[:whole].reshape(-1, block), axis=1)
        maxima = maxima[~np.isnan(maxima)]
        if len(maxima) > k:
            floor = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
    at = np.flatnonzero(scores >= floor)  # never NaN
    if k < len(at):
        few = scores[at]
        at = at[few >= np.partition(few, len(few) - k)[len(few) - k]]
    return at


def nearest(scores: np.ndarray, k: int, visible: np.ndarray) -> np.ndarray:
    """Return float32 (n,): 1 for the k best of the visible, 0 for others, NaN where NaN."""
    chosen = np.where(np.isnan(scores), np.nan, np.float32(0)).astype(np.float32)
    chosen[best(np.where(visible, scores, np.nan), k)] = 1
    return chosen


def aligned(column: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Return a column in the order of `places`, NaN where a place is -1; None is as it is."""
    return column if places is None else spread(column[places[places >= 0]], places >= 0)


def spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return float32 (n,): values at the places that are true, in their order, NaN elsewhere."""
    if len(values) == len(where):
        return values
    found = np.full(len(where), np.nan, dtype=np.float32)
    found[where] = values
    return found


def register(values: dict[str, np.ndarray]) -> pa.Table:
    """Return columns of scores as an Arrow table, null where NaN."""
    fields = {}
    for name, column in values.items():
        empty = np.isnan(column) if column.dtype.kind == "f" else None
        fields[name] = pa.array(column, mask=empty if empty is not None and empty.any() else None)
    return pa.table(fields)
