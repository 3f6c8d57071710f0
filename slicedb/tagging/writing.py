"""Write what a model says into columns of samples, and keep what people corrected.

A value was corrected where it is another than the model wrote last. The columns are written before
the record of them: a process that is killed in between finds, when it runs again, the values that
it computes anew, and takes none of them for a person's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import CheckError
from slicedb.ingest.attach import attach
from slicedb.schema import SAMPLES
from slicedb.store import Store
from slicedb.tagging.definition import FACTS, Tag, table_of, text_of, values_schema
from slicedb.tasks.arrays import differs

Bools = npt.NDArray[np.bool_]


@dataclass
class Written:
    """What was written so far."""

    changed: int = 0
    unchanged: int = 0
    empty: int = 0
    by_hand: list[str] = field(default_factory=list)
    """Ids of samples whose value is a person's."""
    changed_ids: list[str] = field(default_factory=list)


class ColumnWriter:
    """Writes the columns of one tag.

    Args:
        store: the database.
        tag: whose columns.
        overwrite: also write where a person gave or corrected the value.
    """

    def __init__(self, store: Store, tag: Tag, *, overwrite: bool) -> None:
        self.written = Written()
        self._store, self._tag, self._overwrite = store, tag, overwrite
        self._is_ready = False

    def write(self, values: pa.Table) -> None:
        """Write the values of some samples.

        Args:
            values: id, key, content, fingerprint and the columns of the tag; a sample whose
                first one is null is left alone.

        Raises:
            CheckError: a column is there already and has another type.
        """
        names = list(self._tag.columns)
        here = pc.is_valid(values[names[0]])
        self.written.empty += len(values) - (pc.sum(here).as_py() or 0)
        values = values.filter(here).combine_chunks()
        self._prepare(values.schema)
        if not len(values):
            return
        before = self._stored(values)
        is_other = np.any([differs(before[n], values[n]) for n in names], axis=0)
        is_given = self._given(values, before[names[0]])
        ids = values["id"].to_pylist()
        self.written.by_hand += [ids[i] for i in np.flatnonzero(is_given)]
        changes = np.flatnonzero(is_other if self._overwrite else is_other & ~is_given)
        if len(changes):
            rows = values.select(["id", *names]).take(pa.array(changes))
            attach(self._store, rows, partial=True)
            self.written.changed_ids += rows["id"].to_pylist()
        self.written.changed += len(changes)
        self.written.unchanged += len(values) - len(np.union1d(changes, np.flatnonzero(is_given)))
        self._store.upsert(table_of(self._tag.name), values)

    def _prepare(self, given: pa.Schema) -> None:
        """Make the table of written values, or hold it and the columns against the types."""
        if self._is_ready:
            return
        tag, names = self._tag, list(self._tag.columns)
        types = [given.field(name).type for name in names]
        stored = self._store.schema(SAMPLES)
        for name, kind in zip(names, types):
            if name in stored.names and stored.field(name).type != kind:
                raise CheckError(
                    f"The column '{name}' is {stored.field(name).type}, and the model gives "
                    f"{kind}.",
                    f"take another name (name=, --as), or `slicedb column drop {tag.name}` where "
                    "a model wrote it.",
                )
        table, schema = table_of(tag.name), values_schema(tag, types)
        if not self._store.create(table, schema):
            self._store.add_columns(table, [schema.field(name) for name in names])
            if self._store.metadata(table).get(FACTS) != text_of(tag):
                self._store.set_metadata(table, {FACTS: text_of(tag)})
        self._is_ready = True

    def close(self, schema: pa.Schema) -> Written:
        """Add columns that no value was written into, null; return what was written.

        Args:
            schema: of the values.
        """
        self._prepare(schema)
        self._store.add_columns(SAMPLES, [schema.field(name) for name in self._tag.columns])
        self._store.sync()
        return self.written

    def _stored(self, values: pa.Table) -> pa.Table:
        """Return the columns of the samples as they are, null where they are not there yet."""
        names = list(self._tag.columns)
        stored = self._store.schema(SAMPLES).names
        there = [name for name in names if name in stored]
        rows = self._store.take(SAMPLES, values["key"].to_numpy(), ["id", *there])
        for name in names:
            if name not in there:
                rows = rows.append_column(name, pa.nulls(len(rows), values[name].type))
        return rows

    def _given(self, values: pa.Table, stored: pa.ChunkedArray) -> Bools:
        """Return bool (n,): which stored values are a person's, and another than the model's."""
        name = self._tag.name
        rows, has_row = self._store.find(table_of(name), values["key"].to_numpy(), ["key", name])
        at = np.where(has_row, np.cumsum(has_row) - 1, -1)
        last = rows[name].combine_chunks().take(pa.array(at, mask=at < 0))
        return differs(stored, last) & differs(stored, values[name])
