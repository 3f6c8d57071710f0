"""Tell whether a slice is live, frozen, stale or broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicedb.errors import SliceDBError
from slicedb.keys import KeyIndex
from slicedb.schema import EMBEDDINGS
from slicedb.slices.info import SliceState
from slicedb.slices.slice import Slice
from slicedb.slices.table import SliceTable

if TYPE_CHECKING:
    from slicedb.query import Query


def state_of(table: SliceTable, s: Slice) -> tuple[SliceState, int | None]:
    """Return the state of a slice and the number of its members, None where it is broken.

    A frozen slice is asked again: it is stale when its text finds other samples than it keeps.
    A text that does not bind any more makes a frozen slice broken too, but its members stay.
    """
    size = s.count() if s.kind == "frozen" else None
    try:
        query = table.ask(s.question)
        empty = _empty(table, query)
        if empty:
            return SliceState("broken", empty), size
        if size is None:
            return SliceState("live"), int(query.count())
        now = query.keys()
    except SliceDBError as error:
        return SliceState("broken", error.message), size
    then = table.members(s, present=False)[0]
    come = int((~KeyIndex(then).has(now)).sum())
    gone = int((~KeyIndex(now).has(then)).sum())
    if come or gone:
        return SliceState("stale", f"its query now finds +{come:,} -{gone:,}"), size
    return SliceState("frozen"), size


def _empty(table: SliceTable, query: Query) -> str:
    """Say which model or embedding that the query reads has no rows, "" where none is empty."""
    reads = query.plan().reads if hasattr(query, "plan") else None
    for name in sorted(reads.tables) if reads is not None else ():
        if table.store.has(name) and not table.store.count(name):
            kind = "embedding" if name.startswith(EMBEDDINGS) else "model"
            return f"The {kind} '{name.partition('__')[2]}' has no rows: dropped or replaced."
    return ""
