"""Compute digests of ground truth that is a list, so that a row says which one it refers to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.metrics.boxes import Flat, is_crowd
from slicedb.schema import keys_of

_Words = npt.NDArray[np.uint64]

_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


_DERIVED = np.uint64(2)
"""Which columns follow from boxes, and how. It is part of the digest, so that rows derived by an
earlier rule count as stale: 2 counts a missed box in `iou`."""


def digest_of_objects(objects: pa.Array, confidence: float) -> pa.Array:
    """Return int64 (n,): 63 bits of each list's labels, boxes and crowds, null where it is null.

    Args:
        objects: `slicedb.schema.OBJECT` in lists (n,).
        confidence: what tp, fp and fn depend on besides.
    """
    flat = Flat.of(objects)
    word = _names(flat.label)
    for side in (flat.xywh + 0.0).T:  # + 0.0 makes one zero of the two
        word = _mix(word ^ np.ascontiguousarray(side).view(np.uint64))
    crowd = is_crowd(flat.attributes)
    if crowd is not None:
        word = _mix(word ^ crowd.astype(np.uint64))
    seed = np.float64(confidence).view(np.uint64) ^ _DERIVED
    return _lists(word, flat.image, objects, seed)


def digest_of_labels(labels: pa.Array) -> pa.Array:
    """Return int64 (n,): 63 bits of each list of names, null where it is null."""
    rows = pc.list_parent_indices(labels).to_numpy(zero_copy_only=False).astype(np.int64)
    return _lists(_names(pc.list_flatten(labels)), rows, labels, np.uint64(1))


def _names(names: pa.Array) -> _Words:
    coded = names.dictionary_encode()
    known = keys_of([str(name) for name in coded.dictionary.to_pylist()])
    at = pc.fill_null(coded.indices, len(known)).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(known, 0).astype(np.uint64)[at])


def _mix(word: _Words) -> _Words:
    word = word * _PRIME  # wraps
    return np.asarray(word ^ (word >> _SHIFT))


def _lists(word: _Words, rows: npt.NDArray[np.int64], lists: pa.Array, seed: np.uint64) -> pa.Array:
    """Return a digest a list that does not depend on the order inside it."""
    total = np.zeros(len(lists), np.uint64)
    if len(rows):
        first = np.flatnonzero(np.append(True, rows[1:] != rows[:-1]))
        total[rows[first]] = np.add.reduceat(_mix(word), first)
    digest = (_mix(_mix(total ^ seed)) >> np.uint64(1)).astype(np.int64)
    return pa.array(digest, pa.int64(), mask=np.asarray(lists.is_null()))
