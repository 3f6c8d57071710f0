"""Open the pictures of samples that were ingested without, and say which are broken."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from slicedb import media, progress
from slicedb.ingest.verify import has_quality, some_of, verify
from slicedb.keys import KeyIndex, Keys
from slicedb.schema import LOOKS, OK, SAMPLES, UNREADABLE, UNVERIFIED
from slicedb.show.tabular import Record
from slicedb.sql import equals
from slicedb.store import Store

_PIECE = 2048
"""Samples that are written at once."""
_CHUNK = 64


@dataclass(frozen=True)
class VerifyReport(Record):
    """What opening the pictures showed."""

    verified: int
    """Samples that are `ok` now."""
    quarantined: int
    reasons: dict[str, int] = field(default_factory=dict)
    """Quarantined samples by reason."""
    seconds: float = 0.0

    def __str__(self) -> str:
        text = f"{self.verified:,} verified, {self.quarantined:,} quarantined"
        if self.reasons:
            text += f": {', '.join(f'{n:,} {reason}' for reason, n in self.reasons.items())}"
        return f"{text} ({self.seconds:.1f} s)"


def verify_samples(
    store: Store,
    keys: Keys | None = None,
    *,
    max_pixels: int = media.MAX_PIXELS,
    threads: int | None = None,
    show: progress.Watch = None,
    at_use: bool = False,
) -> VerifyReport:
    """Decode the pictures of unverified samples in full; what is verified already is left alone.

    Args:
        store: the database.
        keys: int64 (n,): the samples; None is all of them.
        max_pixels: width x height beyond which an image is refused.
        threads: decoding threads; None takes the cores.
        show: see `slicedb.progress.Watch`.
        at_use: the pictures are wanted for something else. One that cannot be reached now stays
            unverified then, for it may be there tomorrow.
    """
    started = time.perf_counter()
    names = ["id", "key", "uri"]
    rows = store.table(SAMPLES, names, where=equals("status", UNVERIFIED))
    if keys is not None:
        rows = rows.filter(pa.array(KeyIndex(keys).has(rows["key"].to_numpy())))
    if len(rows):
        store.add_columns(SAMPLES, LOOKS)  # which databases of the first releases lack
    reasons: Counter[str] = Counter()
    with (
        progress.bar(len(rows), "verify", show) as bar,
        ThreadPoolExecutor(threads, "slicedb-verify") as pool,
    ):
        for start in range(0, len(rows), _PIECE):
            piece = rows.slice(start, _PIECE)
            reasons.update(_verify(store, piece, pool, max_pixels, at_use))
            bar.advance(len(piece))
    store.sync()
    ok = reasons.pop(OK, 0)
    ordered = dict(reasons.most_common())
    return VerifyReport(ok, reasons.total(), ordered, time.perf_counter() - started)


def _verify(
    store: Store, piece: pa.Table, pool: ThreadPoolExecutor, max_pixels: int, at_use: bool
) -> list[str]:
    """Verify some samples, write what was measured, and return the statuses that were written."""
    ids, uris = piece["id"].to_pylist(), piece["uri"].to_pylist()
    images = [data or None for _, data in store.read_images(piece["key"].to_numpy())]
    tasks, quality = [], has_quality(store)
    for start in range(0, len(ids), _CHUNK):
        some = slice(start, start + _CHUNK)
        titles = [uri or name for uri, name in zip(uris[some], ids[some])]
        sizes = [len(data or b"") for data in images[some]]
        rest = [-1] * len(titles), max_pixels, quality, store.gray_ranges()
        args = images[some], titles, sizes, *rest
        tasks.append(pool.submit(verify, *args))
    verified = tasks[0].result()
    for task in tasks[1:]:
        verified.extend(task.result())
    rows = np.arange(len(ids))
    if at_use:
        rows = np.flatnonzero(np.array(verified.status) != UNREADABLE)
    table = pa.table({"id": piece["id"].take(pa.array(rows)), **verified.columns(rows)})
    if len(rows):
        store.upsert(SAMPLES, table, insert=False)
    return some_of(verified.status, rows)


def verify_at_use(store: Store, keys: Keys | None, show: progress.Watch = None) -> None:
    """Verify those of some samples that nobody has verified, before their pictures are used.

    Args:
        store: the database.
        keys: int64 (n,): the samples; None is all of them.
        show: see `slicedb.progress.Watch`.
    """
    if store.dataset(SAMPLES).count_rows(equals("status", UNVERIFIED)):
        verify_samples(store, keys, show=show, at_use=True)
