"""Keep edits with their inverse: what each changed, whose it was, and how far it got."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql
from slicedb.editing.wanted import Values
from slicedb.errors import ConflictError
from slicedb.schema import EDITS, EDITS_SCHEMA, keys_of
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import Store

AUTHOR = "SLICEDB_AUTHOR"
"""Environment variable with the name of whoever edits; by default that of the user."""

State: TypeAlias = Literal[
    "pending",
    "applying",
    "begun",
    "done",
    "undoing",
    "undone",
    "discarded",
    "refused",
    "lost",
]
"""`pending` was decided and changes nothing yet; `applying` is being carried out with the others of
its commit; `discarded` was taken back, or replaced, before it was carried out; `refused` was not,
since its sample had changed. `begun` and `undoing` are written before the sample is, so that what
was cut off is finished; `lost` was cut off, and somebody else changed the sample meanwhile."""

STATES: tuple[State, ...] = get_args(State)

Kind: TypeAlias = Literal["keep", "skip", "delete", "edit"]

_FEW = 64
"""Ids that a filter names one by one."""
_ADDED = ("queue", "reason", "sha256", "commit", "note", "tables")
"""The columns that the first releases lack."""


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
    before: Values
    """The columns that changed, as they were: the inverse. Of a deletion, what was looked at."""
    after: Values
    state: State
    edited_at: datetime
    queue: str | None = None
    """The review that it was decided in."""
    reason: str | None = None
    """Why, in the words of whoever decided or of the queue."""
    sha256: str | None = None
    """The picture that was looked at."""
    commit: str | None = None
    """The commit that carried it out."""
    note: str | None = None
    """Why it was refused."""
    tables: dict[str, int] | None = None
    """The versions of the tables that still have a deleted sample."""

    @property
    def id(self) -> str:
        """Its key in the table."""
        return json.dumps([self.sample, self.number])

    @property
    def kind(self) -> Kind:
        """Whether it keeps, skips or deletes the sample, or edits it."""
        kind: Kind = json.loads(self.change).get("decision", "edit")
        return kind

    def __str__(self) -> str:
        state = "" if self.state == "done" else f" ({self.state})"
        why = f"; {self.note}" if self.note else f"; {self.reason}" if self.reason else ""
        return f"{self.edited_at:%Y-%m-%d %H:%M} {self.author}: {self.what}{state}{why}"

    @property
    def what(self) -> str:
        """What it changes, for people."""
        if self.kind != "edit":
            return self.kind
        parts = [f"{name} {shown(old)} -> {shown(self.after[name])}" for name, old in self._pairs]
        return "; ".join(parts) or "nothing"

    @property
    def _pairs(self) -> list[tuple[str, object]]:
        return [(name, old) for name, old in self.before.items() if name in self.after]


def shown(value: object) -> str:
    """Return a value of a column for people."""
    if value is None:
        return "none"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return numbers.count(len(value), "box", "boxes")
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def author_of(given: str | None) -> str:
    """Return who edits: whoever is given, SLICEDB_AUTHOR, or the user."""
    if name := given or os.environ.get(AUTHOR):
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def edits_of(
    store: Store,
    sample: str | None = None,
    *,
    states: Collection[State] = (),
    author: str | None = None,
    queue: str | None = None,
    commit: str | None = None,
) -> list[Edit]:
    """Return edits, the first one first.

    Args:
        store: the database.
        sample: of one sample; by default of all.
        states: how far they got; by default in every state.
        author: of one author.
        queue: of one review.
        commit: those that a commit carries out.
    """
    if not store.has(EDITS):
        return []
    lacks_queue = "queue" not in store.schema(EDITS).names
    if lacks_queue and (queue is not None or commit is not None):
        return []
    wanted = (("author", author), ("queue", queue), ("commit", commit))
    conditions = [sql.equals(name, value) for name, value in wanted if value is not None]
    if sample is not None:
        conditions += [f"key = {int(keys_of([sample])[0])}", sql.equals("sample", sample)]
    if states:
        conditions.append(sql.is_in("state", list(states)))
    rows = store.table(EDITS, where=" AND ".join(conditions) or None).to_pylist()
    edits = [_edit(row) for row in rows]
    return sorted(edits, key=lambda edit: (edit.place, edit.edited_at, edit.sample, edit.number))


def _edit(row: Values) -> Edit:
    tables = row.get("tables")
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
        **{name: row.get(name) for name in _ADDED if name != "tables"},
        tables=None if tables is None else json.loads(tables),
    )


@dataclass(frozen=True)
class New:
    """An edit that has no number yet."""

    sample: str
    change: str
    before: Values
    after: Values
    sha256: str | None = None


def begin(
    store: Store,
    news: Sequence[New],
    author: str,
    state: State,
    queue: str | None = None,
    reason: str | None = None,
) -> list[Edit]:
    """Write edits down, all in one step, and return them."""
    ready(store)
    now = datetime.now(UTC).replace(tzinfo=None)
    left: list[New] = list(news)
    written: list[Edit] = []
    while left:  # until the numbers are ours: another process may edit the same sample
        edits = [
            Edit(
                new.sample,
                number,
                place,
                author,
                new.change,
                new.before,
                new.after,
                state,
                now,
                queue,
                reason,
                new.sha256,
            )
            for new, number, place in zip(left, *_numbers(store, [new.sample for new in left]))
        ]
        if store.insert(EDITS, _table(edits)) == len(edits):
            return [*written, *edits]
        ours = _ours(store, edits)
        written += [edit for edit in edits if edit.id in ours]
        left = [new for new, edit in zip(left, edits) if edit.id not in ours]
    return written


def ready(store: Store) -> None:
    """Make the table, or give one of an earlier release the columns that it lacks."""
    if not store.create(EDITS, EDITS_SCHEMA):
        store.add_columns(EDITS, [EDITS_SCHEMA.field(name) for name in _ADDED])


def _numbers(store: Store, samples: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the next number of each sample, and the next places among all edits."""
    rows = store.table(EDITS, ["key", "number", "place"])
    first = (pc.max(rows["place"]).as_py() or 0) + 1
    keys, of = keys_of(samples), rows["key"].to_numpy()
    mine = np.isin(of, keys)
    last: dict[int, int] = {}
    for key, number in zip(of[mine].tolist(), rows["number"].to_numpy()[mine].tolist()):
        last[key] = max(number, last.get(key, 0))
    found = []
    for key in keys.tolist():
        last[key] = last.get(key, 0) + 1
        found.append(last[key])
    return found, list(range(first, first + len(samples)))


def _ours(store: Store, edits: Sequence[Edit]) -> set[str]:
    """Return the ids of those edits that were written, and not others of the same number."""
    rows = store.table(EDITS, where=sql.is_in("id", [edit.id for edit in edits])).to_pylist()
    there = {row["id"]: row for row in rows}
    mine = {}
    for edit in edits:
        row = there.get(edit.id)
        if row is not None and _row(edit) == {name: row[name] for name in _row(edit)}:
            mine[edit.id] = edit
    return set(mine)


def mark(store: Store, edit: Edit, state: State) -> Edit:
    """Write down how far an edit got, and return it so."""
    marked = replace(edit, state=state)
    store.upsert(EDITS, pa.table({"id": [edit.id], "state": [state]}), insert=False)
    return marked


def claim(
    store: Store,
    edits: Sequence[Edit],
    expected: Collection[State],
    state: State,
    commit: str | None = None,
) -> list[Edit]:
    """Give edits another state, in one step; those of which somebody changed it are left out.

    Args:
        store: the database.
        edits: as they were read.
        expected: the states of which they have to be in one still.
        state: the one they are in afterwards.
        commit: the commit that carries them out.

    Returns:
        The edits that have the state now.
    """
    ready(store)
    claimed = [replace(edit, state=state, commit=commit or edit.commit) for edit in edits]
    return _replace(store, claimed, expected, ["state", "commit", "tables"])


def end(store: Store, edits: Sequence[Edit]) -> list[Edit]:
    """Write down what became of edits that were being applied, in one step."""
    return _replace(store, edits, ["applying"], ["state", "before", "after", "note"])


def _replace(
    store: Store, edits: Sequence[Edit], expected: Collection[State], columns: Sequence[str]
) -> list[Edit]:
    """Write columns of those edits that are still in a state; again where another was faster."""
    by_id = {edit.id: edit for edit in edits}
    where = sql.is_in("id", by_id) if len(by_id) <= _FEW else sql.is_in("state", expected)
    while True:
        version = store.version(EDITS)
        rows = store.table(EDITS, ["id", "state"], where=where, version=version).to_pylist()
        still = {row["id"] for row in rows if row["state"] in expected}
        ours = [edit for name, edit in by_id.items() if name in still]
        table = _table(ours).select(["id", *columns])
        try:
            if ours:
                store.upsert(EDITS, table, insert=False, expected_version=version)
            return ours
        except ConflictError:  # people decide meanwhile
            continue


def _table(edits: Iterable[Edit]) -> pa.Table:
    return pa.Table.from_pylist([_row(edit) for edit in edits], EDITS_SCHEMA)


def _row(edit: Edit) -> Values:
    return {
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
        "queue": edit.queue,
        "reason": edit.reason,
        "sha256": edit.sha256,
        "commit": edit.commit,
        "note": edit.note,
        "tables": None if edit.tables is None else json.dumps(edit.tables),
    }
