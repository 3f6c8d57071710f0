"""The nearest samples of different parts: how alike what is trained on and tested on may be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slicedb.curate.units import Ints
from slicedb.keys import Keys, mix
from slicedb.progress import SILENT, Bar
from slicedb.vectors import Matrix

_WORK = 4e11
"""Products of numbers, about ten seconds."""
_MOST = 5000
"""Samples that are compared with all of the other parts."""
_BLOCK = 16_384


def nearest_across(
    matrix: Matrix, keys: Keys, part: Ints, seed: int = 0, bar: Bar = SILENT
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return for some samples outside of the largest part the nearest sample of another part.

    Args:
        matrix: the vectors.
        keys: int64 (n,): the samples.
        part: int64 (n,): of each; -1 is in none.
        seed: decides which samples are looked at, where they are too many.
        bar: given the number of vectors, and advanced by them.

    Returns:
        int64 (m,) the samples looked at, float32 (m,) their largest cosine with a sample of
        another part, and int64 (m,) that sample; all as keys.
    """
    rows = matrix.index.find(keys)
    known = (rows >= 0) & (part >= 0)
    keys, part, rows = keys[known], part[known], rows[known]
    own = np.asarray(matrix.vectors[np.sort(rows)], np.float32)
    order = np.argsort(rows, kind="stable")
    keys, part = keys[order], part[order]
    has = ~np.isnan(own[:, 0])
    own, keys, part = own[has], keys[has], part[has]
    none = np.empty(0, np.int64)
    if not len(keys) or len(np.unique(part)) < 2:
        return none, np.empty(0, np.float32), none
    small = np.flatnonzero(part != np.bincount(part).argmax())
    most = max(100, min(_MOST, int(_WORK / (2 * len(own) * own.shape[1]))))
    ranked = np.argsort(mix(keys[small] ^ np.int64(seed)), kind="stable")[:most]
    asked = np.sort(small[ranked])
    best = np.full(len(asked), -2.0, np.float32)
    at = np.zeros(len(asked), np.int64)
    bar.total(len(own))
    for start in range(0, len(own), _BLOCK):
        bar.advance(min(_BLOCK, len(own) - start))
        block = slice(start, start + _BLOCK)
        cosine = own[asked] @ own[block].T  # (m, d) @ (d, b) -> (m, b)
        cosine[part[asked][:, None] == part[block][None, :]] = -2.0
        top = cosine.argmax(axis=1)
        value = cosine[np.arange(len(asked)), top]
        better = value > best
        best[better], at[better] = value[better], top[better] + start
    return keys[asked], best, keys[at]
