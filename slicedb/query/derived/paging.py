"""Read the rows of some places of a query, from keys that are ordered once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.errors import QueryError
from slicedb.keys import KeyIndex
from slicedb.query.derived import inside
from slicedb.query.run.plan import Plan
from slicedb.schema import SAMPLES

if TYPE_CHECKING:
    from slicedb.query.query import Query


def page(query: Query, keys: np.ndarray, plan: Plan, columns: Sequence[str]) -> pa.Table:
    """Return columns of the samples of `keys`, in their order.

    Stored columns are taken by key. Others, such as `v3.loss`, are asked for by a query over these
    keys alone.

    Args:
        query: gives its database and moment.
        keys: int64 (n,), of samples that exist.
        plan: the plan of the query.
        columns: columns of samples, or expressions over them.

    Raises:
        QueryError: a column is named twice.
    """
    twice = next((c for i, c in enumerate(columns) if c in columns[:i]), None)
    if twice is not None:
        raise QueryError(f"page() names the column '{twice}' twice.", text=query.text)
    stored = plan.pool.catalog.samples
    own = [c for c in columns if c in stored.types]
    taken = query.session.store.take(SAMPLES, keys, own or ["id"], version=stored.version)
    parts = {name: taken[name] for name in own}
    if others := [c for c in columns if c not in own]:
        parts |= _asked(query, keys, others)
    return pa.table([parts[c] for c in columns], names=list(columns))


def _asked(query: Query, keys: np.ndarray, columns: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    """Return what expressions are for the samples of `keys`, in their order."""
    wanted = ", ".join(map(str, keys.tolist())) or "-1"
    for column in columns:
        inside.kind_of(query, column)
    listed = ", ".join(f"{inside.enclosed(column)} AS f{i}" for i, column in enumerate(columns))
    # The page has samples that are not shown where the query asked for them.
    any_status = "(status IS NULL) IS NOT NULL"
    text = f"SELECT key, {listed} FROM samples WHERE key IN ({wanted}) AND {any_status}"
    rows = query.beside(text).to_arrow()
    at = pa.array(KeyIndex(rows["key"].to_numpy()).find(keys))
    return {column: rows[f"f{i}"].take(at) for i, column in enumerate(columns)}
