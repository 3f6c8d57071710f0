"""Recognise what has not changed: fingerprints of a file on disk, and of a row of metadata.

Both are 63 bits and 0 means unknown, which equals nothing. They are kept in the samples' `stamp`
and `row_stamp`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.keys import mix
from slicedb.schema import keys_of
from slicedb.sources import is_remote, versions

_RACY_NS = 2_000_000_000
"""A file touched this shortly ago may be touched again within one tick of its clock."""
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def files(
    uris: Sequence[str | None] | pa.Array, *, lenient: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return size and fingerprint of files, without reading them.

    The fingerprint of a file is of size, time of modification and time of change of the inode,
    which a tool that sets the first time back cannot set; that of an object in a bucket is of size
    and etag. Files touched within the last two seconds get none, so that they are read again next
    time.

    Args:
        uris: paths and addresses.
        lenient: whether a bucket that is gone counts as one without these objects.

    Returns:
        sizes: int64 (n,), bytes; -1 where there is no file.
        stamps: int64 (n,); 0 is unknown.
    """
    if isinstance(uris, pa.Array):
        if uris.null_count == len(uris):
            return np.full(len(uris), -1, np.int64), np.zeros(len(uris), np.int64)
        uris = uris.to_pylist()
    if any(uri is not None and is_remote(uri) for uri in uris):
        return _objects(uris, lenient)
    sizes, modified, changed = (np.array(column, dtype=np.int64) for column in _stat(uris))
    stamps = _mix(_mix(_mix(sizes) ^ modified.view(np.uint64)) ^ changed.view(np.uint64))
    settled = np.maximum(modified, changed) < time.time_ns() - _RACY_NS
    return sizes, np.where(settled & (sizes >= 0), _positive(stamps), 0)


def _objects(uris: Sequence[str | None], lenient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return size and fingerprint of what lies partly or wholly in buckets: of size and etag."""
    sizes, etags = versions(uris, lenient=lenient)
    known = (sizes >= 0) & np.array([etag != "" for etag in etags])
    stamps = np.where(known, _positive(_mix(_mix(sizes) ^ keys_of(etags).view(np.uint64))), 0)
    here = [i for i, uri in enumerate(uris) if uri is not None and not is_remote(uri)]
    if here:
        sizes[here], stamps[here] = files([uris[i] for i in here])
    return sizes, stamps


def _stat(uris: Sequence[str | None]) -> tuple[list[int], list[int], list[int]]:
    """Return size, time of modification and of change; this takes most of the time."""
    sizes, modified, changed = [-1] * len(uris), [0] * len(uris), [0] * len(uris)
    gone: set[str] = set()  # folders, so that not every file of one is asked for
    for i, uri in enumerate(uris):
        if uri is None or (gone and os.path.dirname(uri) in gone):
            continue
        try:
            about = os.stat(uri)
        except (OSError, ValueError):
            if not os.path.isdir(folder := os.path.dirname(uri)):
                gone.add(folder)
            continue
        sizes[i], modified[i], changed[i] = about.st_size, about.st_mtime_ns, about.st_ctime_ns
    return sizes, modified, changed


def rows(columns: pa.Table | pa.RecordBatch) -> np.ndarray:
    """Return the fingerprint of each row of metadata.

    Nulls and the order of the columns do not count, so a new empty column changes no
    fingerprint.

    Returns:
        int64 (n,); 0 where all values of a row are null.
    """
    total = np.zeros(columns.num_rows, dtype=np.uint64)
    for name in columns.schema.names:
        array = columns.column(name)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        # Of few distinct values each is mixed once, and nulls are the last of them.
        values, codes = _values(array)
        mixed = _mix(values ^ keys_of([name]).view(np.uint64))
        if codes is not None:
            total += np.append(mixed, np.uint64(0))[codes]
            continue
        if array.null_count:
            mixed[np.asarray(array.is_null())] = 0
        total += mixed
    return _positive(total)


def _values(array: pa.Array) -> tuple[npt.NDArray[np.uint64], np.ndarray | None]:
    """Return what is equal for equal values, and which of them each row has.

    Returns:
        uint64 (d,): of the distinct values, or of all rows, where null anything.
        int (n,): which of them a row has, d where null; None where there is one for each row.
    """
    kind = array.type
    if pa.types.is_boolean(kind):
        codes = pc.fill_null(array.cast(pa.uint8()), 2)
        return np.arange(2, dtype=np.uint64), codes.to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind):
        filled = pc.fill_null(array.cast(pa.int64(), safe=False), 0)
        return np.asarray(filled.to_numpy(zero_copy_only=False)).view(np.uint64), None
    if pa.types.is_date32(kind):
        return _values(array.cast(pa.int32()))
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind) or pa.types.is_duration(kind):
        return _values(array.cast(pa.int64()))
    if pa.types.is_decimal(kind):
        return _values(array.cast(pa.string()))
    if pa.types.is_floating(kind):
        filled = pc.fill_null(array.cast(pa.float64()), 0.0)
        return np.asarray(filled.to_numpy(zero_copy_only=False)).view(np.uint64), None
    if not pa.types.is_string(kind):
        texts = [None if v is None else repr(_without_new(v)) for v in array.to_pylist()]
        array = pa.array(texts, pa.string())
    coded = array.dictionary_encode()
    words = keys_of(coded.dictionary).view(np.uint64)
    return words, pc.fill_null(coded.indices, len(words)).to_numpy(zero_copy_only=False)


def _without_new(value: object) -> object:
    """Return boxes without the empty fields that the first releases did not have.

    Their fingerprints are those of then, or a second ingest would overwrite what was edited.
    """
    if not isinstance(value, list):
        return value
    return [
        {k: v for k, v in one.items() if v is not None or k not in ("segmentation", "keypoints")}
        if isinstance(one, dict)
        else one
        for one in value
    ]


def _mix(values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """Return a step of SplitMix64: what is stored in databases is made with its increment."""
    return mix(values.astype(np.uint64) + _GAMMA)


def _positive(values: np.ndarray) -> np.ndarray:
    return (values >> np.uint64(1)).astype(np.int64)
