"""Read what samples look like: their bytes' digest and their perceptual hashes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import media, progress
from slicedb.errors import MediaError
from slicedb.keys import Keys
from slicedb.media.lookalike import BYTES
from slicedb.media.pixels import SIDE
from slicedb.metrics.outcomes import Bools
from slicedb.schema import LOOKS, SAMPLES
from slicedb.store import Store

_PIECE = 1024
"""Pictures decoded before their hashes are computed."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What samples look like. All arrays are parallel to the keys, (n,)."""

    content: pa.ChunkedArray
    """string: the SHA-256 of the bytes, null where there are none."""
    has_hash: Bools
    turned: np.ndarray
    """int64: as of `media.looks`."""
    signs: np.ndarray
    """uint8 (n, 32): as of `media.looks`."""
    detail: np.ndarray
    """uint8: as of `media.looks`."""
    computed: int
    """Hashes that the database did not have."""


def load(store: Store, keys: Keys, with_hash: bool, show: progress.Watch = None) -> Stored:
    """Read the digests and the hashes of samples; hashes that are missing are computed.

    Those are stored too, where the database can be written, so that the next call need not decode
    the pictures again.

    Args:
        store: the database.
        keys: int64 (n,).
        with_hash: whether hashes are wanted at all.
        show: see `slicedb.progress.Watch`.
    """
    there = store.schema(SAMPLES).names
    names = [field.name for field in LOOKS if with_hash and field.name in there]
    rows = store.take(SAMPLES, keys, ["id", "sha256", *names])
    n = len(keys)
    turned, whole = np.zeros(n, np.int64), np.zeros((n, BYTES), np.uint8)
    has_hash = np.zeros(n, bool)
    if len(names) == len(LOOKS):
        hashes = rows["dct_hash"].combine_chunks()
        has_hash = np.asarray(hashes.is_valid()) & np.asarray(rows["turned_phash"].is_valid())
        turned = rows["turned_phash"].fill_null(0).to_numpy().copy()
        whole[has_hash] = media.from_hex(hashes.filter(pa.array(has_hash)).to_pylist())
    missing = np.flatnonzero(~has_hash) if with_hash else np.empty(0, np.int64)
    if len(missing):
        try:
            for at, looked in _computed(store, keys, missing, show):
                turned[at], whole[at], has_hash[at] = looked.turned, looked.hashes, True
        finally:  # also when somebody stops it: what was decoded is kept
            missing = missing[has_hash[missing]]
            _keep(store, rows["id"].take(pa.array(missing)), turned[missing], whole[missing])
    return Stored(rows["sha256"], has_hash, turned, whole[:, :-1], whole[:, -1], len(missing))


def small(store: Store, keys: Keys, show: progress.Watch = None) -> tuple[np.ndarray, Bools]:
    """Return the small gray pictures of samples, uint8 (n, 32, 32), and which of them there are."""
    grays, there = np.zeros((len(keys), SIDE, SIDE), np.uint8), np.zeros(len(keys), bool)
    for at, seen in _decoded(store, keys, np.arange(len(keys)), show, keeps=False):
        grays[at], there[at] = seen, True
    return grays, there


def _computed(
    store: Store, keys: Keys, rows: np.ndarray, show: progress.Watch
) -> Iterator[tuple[np.ndarray, media.Looks]]:
    """Yield the hashes of some samples, piece by piece, for those whose picture decodes."""
    for at, grays in _decoded(store, keys, rows, show, keeps=True):
        yield at, media.looks(grays)


def _decoded(
    store: Store, keys: Keys, rows: np.ndarray, show: progress.Watch, keeps: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows whose picture decodes, and uint8 (m, 32, 32), piece by piece."""

    def gray(data: bytes) -> np.ndarray | None:
        try:
            return media.inspect(data).gray if data else None
        except (MediaError, MemoryError):
            return None

    with (
        progress.bar(len(rows), "decode", show, unit="picture", keeps=keeps) as bar,
        ThreadPoolExecutor(media.n_threads(), "slicedb-looks") as pool,
    ):
        for start in range(0, len(rows), _PIECE):
            some = rows[start : start + _PIECE]
            place = {int(key): row for key, row in zip(keys[some].tolist(), some.tolist())}
            pictures = list(store.read_images(keys[some]))
            grays = list(pool.map(gray, [data for _, data in pictures]))
            at = [place[key] for (key, _), picture in zip(pictures, grays) if picture is not None]
            seen = [picture for picture in grays if picture is not None]
            if seen:
                yield np.array(at), np.stack(seen)
            bar.advance(len(some))


def _keep(store: Store, ids: pa.Array, turned: np.ndarray, whole: np.ndarray) -> None:
    if store.title or not store.is_writable or not len(ids):  # an earlier commit has a title
        return
    store.add_columns(SAMPLES, LOOKS)
    hashes = pa.array(media.to_hex(whole), pa.string())
    table = pa.table({"id": ids, "turned_phash": pa.array(turned), "dct_hash": hashes})
    store.upsert(SAMPLES, table, insert=False)
    store.sync()
