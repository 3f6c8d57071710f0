"""Say what was changed of predictions made elsewhere, with the query that shows the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.predictions.tables import table_of
from slicedb.store import Store
from slicedb.tasks.changes import Changes

GIVEN_SUM = "given_sum"
"""The column with what the probabilities of a row summed to that were divided by it."""


@dataclass(frozen=True, eq=False)
class ChangedBatch:
    """What was changed of a batch."""

    ids: Sequence[str] | pa.Array
    changes: Changes

    def sums(self) -> pa.Table:
        """Return id and sum of the rows that were divided by it."""
        values = self.changes.sums
        if values is None:
            return pa.table({"id": pa.array([], "string"), GIVEN_SUM: pa.array([], "f8")})
        rows = np.flatnonzero(~np.isnan(values))
        ids = pa.array(self.ids, pa.string()).take(pa.array(rows))
        return pa.table({"id": ids, GIVEN_SUM: pa.array(values[rows])})


def noted(
    store: Store, model: str, batches: Iterable[ChangedBatch], columns: Sequence[str]
) -> list[str]:
    """Return what is to be said of the changes, the sums of rows that were divided kept.

    Args:
        store: the database, where the rows are.
        model: names their table.
        batches: of the call.
        columns: those that the user logged.
    """
    batches, name = list(batches), sql.name(model)
    divided = pa.concat_tables([batch.sums() for batch in batches])
    notes = []
    if len(divided):
        query = f"{name}.{GIVEN_SUM} IS NOT NULL"
        if GIVEN_SUM in columns:  # it is the user's
            first = divided["id"][:_FIRST].to_pylist()
            query = f"id IN ({', '.join(map(sql.string, first))})"
            query += ", ..." if len(divided) > len(first) else ""
        else:
            store.add_columns(table_of(model), [pa.field(GIVEN_SUM, pa.float64())])
            store.upsert(table_of(model), divided, insert=False)
        sums = divided[GIVEN_SUM].to_numpy()
        notes.append(
            f"{_rows(len(divided))} sum to {sums.min():.4g} to {sums.max():.4g} rather than to 1; "
            f"the probabilities are divided by their sum (up to 0.01 from 1; within 0.001 they are "
            f"taken as they are). They are: {query}"
        )
    kept, tied = (
        sum(
            int(rows.sum())
            for batch in batches
            if (rows := getattr(batch.changes, what)) is not None
        )
        for what in ("kept", "tied")
    )
    if kept:
        notes.append(
            f"The prediction of {_rows(kept)} is the given one, though rounding makes another "
            f"class as probable (by 1e-6). They are among: {name}.margin < 1e-6"
        )
    if tied:
        notes.append(
            f"The two best classes of {_rows(tied)} differ in their logits, and not in the "
            f"probabilities that are stored; the prediction follows the logits. They are among: "
            f"{name}.margin < 1e-6"
        )
    return notes


_FIRST = 20
"""Ids that a note names where no query tells the rows."""


def _rows(n: int) -> str:
    return f"{n:,} row{'s' * (n != 1)}"
