"""Whether slices still say what they said: stale and broken ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicedb.errors import SliceDBError
from slicedb.schema import EMBEDDINGS
from slicedb.slices.slice import Slice, State
from slicedb.slices.table import SliceTable


def state_of(table: SliceTable, s: Slice) -> tuple[State, int | None]:
    """Return the state of a slice and the number of its members, None where it is broken.

    A frozen slice is asked again: it is stale when its text finds other samples than it keeps.
    A text that does not bind any more makes a frozen slice broken too, but its members stay.
    """
    kept = s.count() if s.kind == "frozen" else None
    try:
        answer = table.ask(s.question)
        empty = _empty(table, answer)
        if empty:
            return State("broken", empty), kept
        if kept is None:
            return State("live"), int(answer.count())
        now = answer.keys()
    except SliceDBError as error:
        return State("broken", error.message), kept
    then = table.members(s, present=False)[0]
    come = int((~np.isin(now, then)).sum())
    gone = int((~np.isin(then, now)).sum())
    if come or gone:
        return State("stale", f"its query now finds +{come:,} -{gone:,}"), kept
    return State("frozen"), kept


def _empty(table: SliceTable, answer: Any) -> str:
    """Say which model or embedding that the answer reads has no rows, "" where none is empty."""
    reads = answer.plan().reads if hasattr(answer, "plan") else None
    for name in sorted(reads.tables) if reads is not None else ():
        if table.store.has(name) and not table.store.count(name):
            kind = "embedding" if name.startswith(EMBEDDINGS) else "model"
            return f"The {kind} '{name.partition('__')[2]}' has no rows: dropped or replaced."
    return ""
