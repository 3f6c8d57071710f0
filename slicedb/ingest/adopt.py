"""Find the files that are samples already, under whatever path the source calls them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from slicedb.ingest.known import Known
from slicedb.schema import keys_of


class Adopted:
    """The batches of a source, in which new rows for files that are samples have their ids.

    A folder that is ingested, and then a table whose paths start one folder higher, name the same
    files by two ids; without this every picture would be two samples.

    Args:
        batches: of the source, with `id` and `uri`.
        known: what the database knew before.
        where: the source.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch], known: Known, where: str) -> None:
        self._batches, self._known, self._where = batches, known, where
        self.count = 0
        """Rows that got the id of a sample, so far."""
        self._given: set[int] = set()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            yield self._adopt(batch)

    def _adopt(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        batch = self._named_apart(batch)
        rows = self._known.find(batch["id"], keys_of(batch["id"]))
        self._given.update(rows[rows >= 0].tolist())
        new = np.flatnonzero(rows < 0)
        if not len(new):
            return batch
        found = self._known.find_uris(batch["uri"].take(pa.array(new)).to_pylist())
        taken = [
            (i, row)
            for i, row in zip(new.tolist(), found.tolist())
            if row >= 0 and row not in self._given
        ]
        taken = list({row: (i, row) for i, row in reversed(taken)}.values())
        if not taken:
            return batch
        self.count += len(taken)
        self._given.update(row for _, row in taken)
        ids = batch["id"].to_pylist()
        names = self._known.ids(np.array([row for _, row in taken]))
        for (i, _), name in zip(taken, names, strict=True):
            ids[i] = name
        return batch.set_column(
            batch.schema.get_field_index("id"), "id", pa.array(ids, batch["id"].type)
        )

    def _named_apart(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Give another id to files at the old place of a sample that moved within a source."""
        known = self._known
        if known.gone is None:
            return batch
        rows = known.find(batch["id"], keys_of(batch["id"]))
        old = np.flatnonzero(rows >= 0)
        uris = batch["uri"].take(pa.array(old)).to_pylist()
        own = np.array([source == self._where for source in known.sources(rows[old])], bool)
        apart = old[~known.same_uri(rows[old], uris) & own & ~known.gone[rows[old]]]
        if not len(apart):
            return batch
        ids = batch["id"].to_pylist()
        for i, digest in zip(apart.tolist(), keys_of(batch["uri"].take(pa.array(apart)))):
            ids[i] = f"{ids[i]}~{int(digest) % 0xFFFFFF:06x}"
        return batch.set_column(
            batch.schema.get_field_index("id"), "id", pa.array(ids, batch["id"].type)
        )
