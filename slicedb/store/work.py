"""Find what is left to do for a model or an encoder, and write its rows as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import ConflictError
from slicedb.keys import KeyIndex
from slicedb.schema import IMAGES, SAMPLES, SHOWN, content_of
from slicedb.show import numbers
from slicedb.show.text import clean
from slicedb.store.shares import Tally

if TYPE_CHECKING:
    from slicedb.store.tables import Store

_ROWS = 4096
_BYTES = 64 << 20
_SECONDS = 10.0


@dataclass(frozen=True)
class Samples:
    """The samples that a model or an encoder is asked for."""

    rows: pa.Table
    """id, key, label, content of those whose status is ok, in the order their images are stored."""
    quarantined: int
    """How many have another status."""
    version: int
    """Of the table of samples that they were read from."""


def samples_of(store: Store, keys: np.ndarray | None) -> Samples:
    """Return the samples asked for.

    Args:
        store: the database.
        keys: int64 (n,), of which repeated ones count once; None means every sample.
    """
    version = store.version(SAMPLES)
    columns = ["id", "key", "label", "sha256", "status"]
    table = store.table(SAMPLES, columns, version=version)
    if keys is not None:
        table = table.filter(pa.array(KeyIndex(keys).has(table["key"].to_numpy())))
    good = table.filter(pc.is_in(table["status"], value_set=pa.array(SHOWN)))
    content = pa.array(content_of(good["sha256"]), pa.int64())
    good = good.select(["id", "key", "label"]).append_column("content", content)
    if store.has(IMAGES) and len(good):
        at = store.positions(IMAGES, good["key"].to_numpy())
        if (np.diff(at) < 0).any():
            good = good.take(pa.array(np.argsort(at, kind="stable")))
    return Samples(good.combine_chunks(), len(table) - len(good), version)


def missing(samples: pa.Table, done: pa.Table) -> np.ndarray:
    """Return the positions of samples without a row for their present image.

    Args:
        samples: key and content of what is wanted.
        done: key and content of the existing rows; with a column `error`, rows that have one
            are to be computed again.

    Returns:
        int64 (m,).
    """
    if not len(done):
        return np.arange(len(samples))
    rows = KeyIndex(done["key"].to_numpy()).find(samples["key"].to_numpy())
    is_done = (rows >= 0) & (done["content"].to_numpy()[rows] == samples["content"].to_numpy())
    if "error" in done.column_names:
        is_done &= pc.is_null(done["error"]).to_numpy()[rows]
    return np.flatnonzero(~is_done)


def images_of(store: Store, rows: pa.Table) -> Iterator[tuple[str, bytes]]:
    """Yield (id, encoded image) of each row, in order."""
    ids = rows["id"].to_pylist()
    for name, (_, data) in zip(ids, store.read_images(rows["key"].to_numpy())):
        yield name, data


@dataclass(frozen=True)
class Anew:
    """What a table is to become once the first rows for it are there."""

    schema: pa.Schema
    version: int
    """The version of the table that is replaced."""


class Writer:
    """Collects what a model computes and writes it in chunks, so that no finished work is lost.

    Rows are upserted by id, so that two processes at one table never double them.

    Args:
        store: the database.
        table: the name of the table.
        rows: the samples being done, in the order they come.
        finish: from the model's rows and the samples' rows to rows of the table; rows with a
            null in its first column are left out.
        row_bytes: bytes of a row, which bounds the memory of a chunk.
        version: of the samples that `rows` are of; those that are deleted later are left out.
        anew: the first chunk replaces what the table holds; None adds to it.
        again: called where another process was faster than that; says what the first chunk is to
            replace now, None where the other one has done so.
    """

    def __init__(
        self,
        store: Store,
        table: str,
        rows: pa.Table,
        finish: Callable[[pa.Table, pa.Table], pa.Table],
        row_bytes: int,
        version: int,
        anew: Anew | None = None,
        again: Callable[[], Anew | None] | None = None,
    ) -> None:
        self.failed = 0
        self.gone = 0
        self.examples: list[str] = []
        self._store, self._table = store, table
        self._rows, self._finish = rows, finish
        self._anew, self._again = anew, again
        self._version = version
        self._written = 0
        self._held: list[pa.RecordBatch] = []
        self._n = 0
        self._last = time.monotonic()
        self._most = max(1, min(_ROWS, _BYTES // max(1, row_bytes)))

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch with `id`, `error` and what the model gave."""
        self._held.append(batch)
        self._n += len(batch)
        if self._n >= self._most or time.monotonic() - self._last > _SECONDS:
            self.flush()

    def flush_old(self) -> None:
        """Write what has waited for long, where others are added to and this one is not."""
        if time.monotonic() - self._last > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if not self._held:
            return
        rows = pa.Table.from_batches(self._held).combine_chunks()
        about = self._rows.slice(self._written, len(rows))
        self._written += len(rows)
        self._held, self._n = [], 0
        if self._store.version(SAMPLES) != self._version:
            rows, about = self._present(rows, about)
        self._count_errors(rows)
        self._write(self._finish(rows, about))
        self._last = time.monotonic()

    def _present(self, rows: pa.Table, about: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Leave out samples that another process deleted while the model ran."""
        here = pa.array(self._store.positions(SAMPLES, about["key"].to_numpy()) >= 0)
        self.gone += len(rows) - pc.sum(here).as_py() if len(rows) else 0
        return rows.filter(here), about.filter(here)

    def _count_errors(self, rows: pa.Table) -> None:
        self.failed += len(rows) - rows["error"].null_count
        if rows["error"].null_count < len(rows) and len(self.examples) < 3:
            bad = rows.filter(pc.is_valid(rows["error"])).slice(0, 3)
            pairs = zip(bad["id"].to_pylist(), bad["error"].to_pylist())
            self.examples += [f"{name}: {error}" for name, error in pairs]

    def close(self) -> None:
        """Write what was collected; a table that is to be replaced is, also by no rows."""
        self.flush()
        if self._anew is not None:
            self._replace(self._anew, None)

    def _write(self, table: pa.Table) -> None:
        rows = table.filter(pc.is_valid(table.column(0)))
        if not len(rows):
            return
        if self._anew is None or not self._replace(self._anew, rows):
            self._store.upsert(self._table, rows)

    def _replace(self, anew: Anew, rows: pa.Table | None) -> bool:
        """Return whether the table was replaced by the rows, and not by another process."""
        try:
            self._store.replace(self._table, anew.schema, rows, expected_version=anew.version)
        except ConflictError:
            if self._again is None:
                raise
            self._anew = self._again()
            return self._anew is not None and self._replace(self._anew, rows)
        self._anew = None
        return True

    def tally(self) -> Tally:
        """Return what became of the samples."""
        return Tally(self.failed, self.gone, examples=tuple(self.examples))


def failures(failed: int, examples: Sequence[str], gone: int = 0) -> str:
    """Return the lines of a report about failed rows and deleted samples; empty without any."""
    samples = numbers.count(gone, "sample was", "samples were")
    lost = f"\n  {samples} deleted meanwhile and left out." if gone else ""
    return lost + _failed(failed, examples)


def _failed(failed: int, examples: Sequence[str]) -> str:
    if not failed:
        return ""
    shown = "".join(f"\n    {clean(example)}" for example in examples[:3])
    return f"\n  {failed:,} failed and are tried again next time:{shown}"
