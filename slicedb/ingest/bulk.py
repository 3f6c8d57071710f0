"""Load rows whose pictures are not opened, column by column.

Nothing is asked of a picture, so no row becomes an object of Python's: new rows are appended in
large parts, rows that are as they were are counted, and only those that changed take the way of
pictures that are opened.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from slicedb.ingest import fingerprint
from slicedb.ingest.fresh import FreshRows
from slicedb.ingest.known import Known, collision
from slicedb.ingest.source import Source
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Bools
from slicedb.progress import Bar
from slicedb.schema import SAMPLES, SAMPLES_SCHEMA, UNVERIFIED, keys_of
from slicedb.store import Store

_ROWS = 1 << 18
_BYTES = 128 << 20
"""What is appended at once, at most."""


class Bulk:
    """The part of an ingest that is written in columns.

    Args:
        store: the database.
        source: whose batches carry no images.
        known: what the database knew before; its `seen` is kept up to date.
        bar: counts the rows that end here.
    """

    def __init__(self, store: Store, source: Source, known: Known, bar: Bar) -> None:
        self.added = 0
        self.unchanged = 0
        self.reasons: Counter[str] = Counter()
        """Rows that are as they were and quarantined, by reason."""
        self._store, self._source, self._known, self._bar = store, source, known, bar
        self._now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        self._fresh = FreshRows(store, SAMPLES, known.version)
        self._added_keys: Keys = np.empty(0, np.int64)
        self._brought = [f.name for f in source.fields]
        self._held: list[pa.RecordBatch] = []
        self._writer = ThreadPoolExecutor(1, "slicedb-append")
        self._written: Future[None] | None = None

    def changed(self) -> Iterator[pa.RecordBatch]:
        """Take the source's rows, and yield those that are known and changed."""
        wins = self._source.wins
        start = 0
        for batch in self._source.batches:
            keys = self._keys(batch["id"], start)
            start += batch.num_rows
            rows = self._known.find(batch["id"], keys)
            # A table may name pictures that nobody can reach from here.
            stamps = fingerprint.files(batch["uri"], lenient=True)[1]
            insists = [name for name in batch.schema.names if name in wins]
            row_stamps = fingerprint.rows(batch.select(insists))
            is_new = rows < 0
            if is_new.any():
                self._add(batch, keys, stamps, row_stamps, is_new)
            if not is_new.all():
                is_same = ~is_new
                is_same[is_same] = self._same(
                    batch["uri"].filter(pa.array(is_same)),
                    rows[is_same],
                    stamps[is_same],
                    row_stamps[is_same],
                )
                self._count(rows[is_same])
                if not (is_new | is_same).all():
                    yield batch.filter(pa.array(~(is_new | is_same)))

    def close(self) -> None:
        """Write what is held, and index what was added."""
        try:
            self._flush()
            if self._written is not None:
                self._written.result()
        finally:
            self._writer.shutdown()
        if self.added:
            self._fresh.close()
            self._store.sync()

    def _keys(self, ids: pa.Array, start: int) -> Keys:
        keys = self._source.keys
        return keys_of(ids) if keys is None else keys[start : start + len(ids)]

    def _same(self, uris: pa.Array, rows: Keys, stamps: Keys, row_stamps: Keys) -> Bools:
        """Return bool (m,): which known rows are as they were, as far as can be told."""
        known = self._known
        # Without a fingerprint only opening a file would tell whether it is another one.
        is_same_file = (stamps == 0) | (stamps == known.stamps[rows])
        is_same_place = known.same_uri(rows, uris) | np.asarray(uris.is_null())
        is_same_row = row_stamps == known.row_stamps[rows]
        if not self._source.wins:  # 0 means that it has no metadata, not that it was removed
            is_same_row |= row_stamps == 0
        return np.asarray(is_same_file & is_same_place & is_same_row)

    def _count(self, rows: Keys) -> None:
        self._known.seen[rows] = True
        self.unchanged += len(rows)
        self.reasons.update(self._known.broken(rows))
        self._bar.advance(len(rows))

    def _add(
        self,
        batch: pa.RecordBatch,
        keys: Keys,
        stamps: Keys,
        row_stamps: Keys,
        is_new: Bools,
    ) -> None:
        """Hold the new rows of a batch until there are enough of them."""
        n = int(is_new.sum())
        if n < batch.num_rows:
            batch = batch.filter(pa.array(is_new))
            keys, stamps, row_stamps = keys[is_new], stamps[is_new], row_stamps[is_new]
        columns = {name: batch[name] for name in ("id", "uri", *self._brought)}
        columns |= {
            "key": pa.array(keys),
            "stamp": pa.array(stamps),
            "row_stamp": pa.array(row_stamps),
            "source": pa.repeat(self._source.where, n),
            "status": pa.repeat(UNVERIFIED, n),
            "ingested_at": pa.repeat(
                pa.scalar(self._now, SAMPLES_SCHEMA.field("ingested_at").type), n
            ),
        }
        self._held.append(pa.RecordBatch.from_pydict(columns))
        self.added += n
        self._bar.advance(n)
        rows = sum(len(held) for held in self._held)
        if rows >= _ROWS or sum(held.nbytes for held in self._held) >= _BYTES:
            self._flush()

    def _flush(self) -> None:
        """Let the held rows be written while the next ones are made."""
        if not self._held:
            return
        rows = pa.Table.from_batches(self._held)
        self._held = []
        if self._written is not None:
            self._written.result()
        if self._source.keys is None:
            self._refuse_collisions(rows)
        self._written = self._writer.submit(self._fresh.write, rows)

    def _refuse_collisions(self, rows: pa.Table) -> None:
        """Raise where a new row has the key of another new one."""
        keys = rows["key"].to_numpy()
        self._added_keys = np.sort(np.concatenate([self._added_keys, keys]))
        ascending = self._added_keys
        doubled = ascending[1:][ascending[1:] == ascending[:-1]]
        if len(doubled):
            names = rows["id"].filter(pa.array(keys == doubled[0])).to_pylist()
            if len(names) < 2:  # the other one is written already
                names += self._store.take(SAMPLES, doubled[:1], ["id"])["id"].to_pylist()
            raise collision(*sorted(names[:2]))
