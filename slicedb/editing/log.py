"""Keep edits with their inverse: what each changed, whose it was, and how far it got."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from slicedb.schema import EDITS, EDITS_SCHEMA, keys_of
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import Store

State: TypeAlias = Literal["pending", "done", "undoing", "undone", "lost"]
"""`pending` and `undoing` are written before the sample is, so that what was cut off is finished;
`lost` was cut off, and somebody else changed the sample meanwhile."""


@dataclass(frozen=True)
class Edit(Record):
    """One edit of one sample."""

    sample: str
    number: int
    """Among the edits of the sample, from 1."""
    place: int
    """Among all edits, from 1."""
    author: str
    change: str
    """What was asked for, as JSON."""
    before: dict[str, Any]
    """The columns that changed, as they were: the inverse."""
    after: dict[str, Any]
    state: State
    edited_at: datetime

    @property
    def id(self) -> str:
        """Its key in the table."""
        return json.dumps([self.sample, self.number])

    def __str__(self) -> str:
        parts = "; ".join(
            f"{name} {_shown(old)} -> {_shown(self.after[name])}"
            for name, old in self.before.items()
        )
        state = "" if self.state == "done" else f" ({self.state})"
        return f"{self.edited_at:%Y-%m-%d %H:%M} {self.author}: {parts}{state}"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return numbers.count(len(value), "box", "boxes")
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def edits_of(store: Store, sample: str | None = None) -> list[Edit]:
    """Return edits, the first one first; of one sample, or all of them."""
    if not store.has(EDITS):
        return []
    if sample is None:
        rows = store.table(EDITS).to_pylist()
    else:
        key = int(keys_of([sample])[0])
        rows = store.table(EDITS, where=f"key = {key}").to_pylist()
    edits = [_edit(row) for row in rows if sample is None or row["sample"] == sample]
    return sorted(edits, key=lambda edit: (edit.place, edit.edited_at, edit.sample))


def _edit(row: dict[str, Any]) -> Edit:
    return Edit(
        row["sample"],
        row["number"],
        row["place"],
        row["author"],
        row["change"],
        json.loads(row["before"]),
        json.loads(row["after"]),
        row["state"],
        row["edited_at"],
    )


def begin(
    store: Store,
    sample: str,
    author: str,
    change: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> Edit:
    """Write down an edit that is about to be made, and return it."""
    store.create(EDITS, EDITS_SCHEMA)
    now = datetime.now(UTC).replace(tzinfo=None)
    while True:  # until the number is ours: another process may edit the same sample
        every = edits_of(store)
        place = max((edit.place for edit in every), default=0) + 1
        number = max((e.number for e in every if e.sample == sample), default=0) + 1
        edit = Edit(sample, number, place, author, change, before, after, "pending", now)
        if store.insert(EDITS, _table(edit)):
            return edit


def mark(store: Store, edit: Edit, state: State) -> Edit:
    """Write down how far an edit got, and return it so."""
    marked = replace(edit, state=state)
    store.upsert(EDITS, pa.table({"id": [edit.id], "state": [state]}), insert=False)
    return marked


def _table(edit: Edit) -> pa.Table:
    row = {
        "id": edit.id,
        "key": int(keys_of([edit.sample])[0]),
        "sample": edit.sample,
        "number": edit.number,
        "place": edit.place,
        "author": edit.author,
        "change": edit.change,
        "before": json.dumps(edit.before),
        "after": json.dumps(edit.after),
        "state": edit.state,
        "edited_at": edit.edited_at,
    }
    return pa.Table.from_pylist([row], EDITS_SCHEMA)
