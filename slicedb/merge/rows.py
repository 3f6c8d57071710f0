"""Merge tables with a row per sample: the vectors of an embedding, the predictions of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.errors import DatabaseError
from slicedb.keys import KeyIndex
from slicedb.merge.cells import (
    any_value,
    fitted,
    merged,
    of_rows,
    with_columns,
    with_values,
)
from slicedb.merge.pair import Pair, first_few
from slicedb.merge.samples import NOT_TAKEN, SamplesTold
from slicedb.metrics.outcomes import Bools
from slicedb.schema import spoken
from slicedb.show import numbers
from slicedb.tasks.arrays import one_array

_ROWS = 16_384
"""Rows that are compared and written at once."""


@dataclass(frozen=True)
class RowTable:
    """A table of the other, and what it becomes part of here."""

    theirs: str
    ours: str
    compared: tuple[str, ...]
    """Columns that are compared where both sides have a row; none where one fingerprint made
    both."""
    said: tuple[str, ...]
    """Columns of which one has a value unless the row is empty."""
    metadata: tuple[tuple[str, str], ...] = ()
    """What the table says of itself here, where that is other than there."""


@dataclass(frozen=True)
class RowsTold:
    """What the rows of a table of the other are beside ours."""

    added: int = 0
    unchanged: int = 0
    differing: int = 0
    left_out: int = 0
    """Rows that speak of another picture than the one that holds here."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Part:
    new: pa.Table
    changed: pa.Table
    told: RowsTold


def compare_rows(pair: Pair, table: RowTable, samples: SamplesTold) -> RowsTold:
    """Return what merging a table would do; nothing is written.

    Raises:
        DatabaseError: a row differs and no side was named, or columns do not fit.
    """
    told = RowsTold()
    for part in _parts(pair, table, samples):
        one = part.told
        told = RowsTold(
            told.added + one.added,
            told.unchanged + one.unchanged,
            told.differing + one.differing,
            told.left_out + one.left_out,
            (*told.examples, *one.examples),
        )
    if told.differing and pair.side is None:
        what = spoken(table.theirs)
        raise DatabaseError(
            f"{numbers.count(told.differing, 'sample')} have other values in the {what} here and "
            f"there: {first_few(told.examples, told.differing)}.",
            "on_conflict='ours' or 'theirs' (--on-conflict) says which hold, rename= (--rename "
            f"{table.theirs.partition('__')[2]}=NEW) keeps both; nothing was written.",
        )
    return told


def write_rows(pair: Pair, table: RowTable, samples: SamplesTold) -> None:
    """Write what `compare_rows` told; a table that is new is there with all its rows, or not."""
    store = pair.ours
    if not store.has(table.ours):
        schema = pair.theirs.schema(table.theirs)
        facts = {name.encode(): text.encode() for name, text in table.metadata}
        schema = schema.with_metadata({**(schema.metadata or {}), **facts})
        rows = (part.new for part in _parts(pair, table, samples))
        store.create(table.ours, schema, rows)
        return
    new = _new_columns(pair, table)
    if new:
        store.add_columns(table.ours, new)
    for part in _parts(pair, table, samples):
        if len(part.changed):
            store.upsert(table.ours, part.changed, insert=False)
        if len(part.new):
            store.insert(table.ours, part.new)


def _parts(pair: Pair, table: RowTable, samples: SamplesTold) -> Iterator[_Part]:
    index = KeyIndex(samples.keys)
    is_there = pair.ours.has(table.ours)
    schema = pair.theirs.schema(table.theirs)
    if is_there:
        schema = pa.schema([*pair.ours.schema(table.ours), *_new_columns(pair, table)])
    for batch in pair.theirs.scan(table.theirs, batch_size=_ROWS):
        rows = pair.keyed(pa.Table.from_batches([batch]))
        speaks = _speaks_of_the_picture(rows, index, samples)
        left_out = int((~speaks).sum())
        rows = of_rows(rows, speaks)
        if not is_there:
            yield _Part(rows, rows.slice(0, 0), RowsTold(len(rows), left_out=left_out))
            continue
        names = [name for name in schema.names if name in rows.column_names]
        rows = with_columns(fitted(rows.select(names), schema, spoken(table.theirs)), schema)
        yield _beside_ours(pair, table, rows, left_out)


def _beside_ours(pair: Pair, table: RowTable, rows: pa.Table, left_out: int) -> _Part:
    stored = pair.ours.schema(table.ours).names
    keys, ids = rows["key"].to_numpy(), rows["id"].to_pylist()
    old, is_here = pair.ours.find(table.ours, keys, stored, ids=ids)
    mine, yours = with_columns(old, rows.schema), of_rows(rows, is_here)
    # Rows that were emptied since their picture changed, or that failed, are as good as none.
    empty = ~any_value(mine, table.said) & any_value(yours, table.said)
    cells = merged(mine, yours, table.compared, pair.side, ~empty)
    after = cells.table
    for name in after.column_names if empty.any() else ():
        after = with_values(after, name, one_array(yours[name]), empty)
    changed = cells.changed | empty
    differing = of_rows(mine, cells.differing)["id"].to_pylist()
    told = RowsTold(
        int((~is_here).sum() + empty.sum()),
        int((~empty & ~cells.differing).sum()),
        len(differing),
        left_out,
        tuple(differing[:4]),
    )
    return _Part(of_rows(rows, ~is_here), of_rows(after, changed), told)


def _speaks_of_the_picture(rows: pa.Table, index: KeyIndex, samples: SamplesTold) -> Bools:
    """Return bool (n,): which rows were made from the picture that holds after the merge."""
    at = index.find(rows["key"].to_numpy())
    now = np.append(samples.contents, NOT_TAKEN)[at]
    if "content" not in rows.column_names:
        return np.asarray(now != NOT_TAKEN)
    made = rows["content"].fill_null(-1).to_numpy()
    return np.asarray((now != NOT_TAKEN) & ((now < 0) | (made < 0) | (now == made)))


def _new_columns(pair: Pair, table: RowTable) -> list[pa.Field]:
    """Return the columns that only the table of the other has."""
    ours = pair.ours.schema(table.ours).names
    new = [field for field in pair.theirs.schema(table.theirs) if field.name not in ours]
    for field in new:
        if twin := sql.twin_of(field.name, ours):
            raise DatabaseError(
                f"The column '{field.name}' of the {spoken(table.theirs)} differs by case only "
                f"from '{twin}', which is here.",
                "rename= (--rename) keeps both tables; nothing was written.",
            )
    return new
