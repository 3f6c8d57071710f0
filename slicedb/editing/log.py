"""Keep edits with their inverse, and find them again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql
from slicedb.editing.entry import Edit, Kind, State
from slicedb.editing.wanted import Values
from slicedb.errors import ConflictError
from slicedb.schema import EDITS, EDITS_SCHEMA, keys_of
from slicedb.store import Store

_FEW = 64
"""Ids that a filter names one by one."""
_ADDED = ("queue", "reason", "sha256", "commit", "note", "tables")
"""The columns that the first releases lack."""


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
    where = _where(store, sample, states, author, queue, commit)
    if where is None:
        return []
    edits = [_edit(row) for row in store.table(EDITS, where=where or None).to_pylist()]
    return sorted(edits, key=lambda edit: (edit.place, edit.edited_at, edit.sample, edit.number))


def _where(
    store: Store,
    sample: str | None,
    states: Collection[State],
    author: str | None,
    queue: str | None,
    commit: str | None,
) -> str | None:
    """Return the predicate of some edits; None where there are none for sure."""
    if not store.has(EDITS):
        return None
    if (queue, commit) != (None, None) and "queue" not in store.schema(EDITS).names:
        return None
    wanted = (("author", author), ("queue", queue), ("commit", commit))
    conditions = [sql.equals(name, value) for name, value in wanted if value is not None]
    if sample is not None:
        conditions += [f"key = {int(keys_of([sample])[0])}", sql.equals("sample", sample)]
    if states:
        conditions.append(sql.is_in("state", list(states)))
    return " AND ".join(conditions)


def last_of(
    store: Store,
    sample: str | None = None,
    *,
    states: Collection[State],
    number: int | None = None,
    author: str | None = None,
    queue: str | None = None,
) -> Edit | None:
    """Return the last of some edits, without reading what the others changed; see `edits_of`."""
    where = _where(store, sample, states, author, queue, None)
    if where is None:
        return None
    where += "" if number is None else f" AND number = {number}"
    order = ["place", "edited_at", "sample", "number"]
    rows = store.table(EDITS, ["id", *order], where=where)
    if not len(rows):
        return None
    at = pc.sort_indices(rows, [(name, "descending") for name in order])[0]
    found = store.table(EDITS, where=sql.equals("id", rows["id"][at.as_py()].as_py()))
    return _edit(found.to_pylist()[0])


def count_pending(store: Store) -> Counter[tuple[str, Kind]]:
    """Return how many decisions are pending, by author and kind."""
    counts: Counter[tuple[str, Kind]] = Counter()
    where = _where(store, None, ["pending"], None, None, None)
    if where is None:
        return counts
    rows = store.table(EDITS, ["author", "change"], where=where)
    pairs = Counter(zip(rows["author"].to_pylist(), rows["change"].to_pylist()))
    for (author, change), n in pairs.items():
        counts[author, json.loads(change).get("decision", "edit")] += n
    return counts


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
