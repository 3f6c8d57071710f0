"""Decide what a diff compares: slices, versions and commits become its two sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from slicedb.errors import SliceDBError, SliceError, UnknownSliceError
from slicedb.keys import Keys
from slicedb.query import Reads
from slicedb.slices.definitions import references
from slicedb.slices.diff import Definitions, Diff, Side, diff
from slicedb.slices.slice import Slice
from slicedb.slices.table import SliceTable, as_row
from slicedb.store import Past


@dataclass(frozen=True)
class Compared:
    """What a user asks to compare."""

    a: str
    b: str | None = None
    before: str | None = None
    """Commit of `a`; None is the present."""
    after: str | None = None
    """Commit of the other."""


def compare(
    now: SliceTable,
    asked: Compared,
    past: Callable[[str], SliceTable],
    anew: Callable[[SliceTable, Definitions], Keys],
) -> Diff:
    """Return the difference of what was asked.

    Args:
        now: the slices of the present.
        anew: gives the members of definitions over the data of a registry.

    Raises:
        SliceError: a live slice that never changed has nothing to be compared with.
    """
    tables = [now if c is None else past(c) for c in (asked.before, asked.after)]
    if asked.before is not None or asked.after is not None:
        names = (asked.a, asked.b or asked.a)
        pair = [_slice_of(table, now, name) for table, name in zip(tables, names)]
    else:
        pair = _of_present(now, asked)
    old, new = (_side(t, s, c) for t, s, c in zip(tables, pair, (asked.before, asked.after)))
    return diff(old, new, lambda definitions: anew(tables[1], definitions), _reads(new, tables[1]))


def _of_present(now: SliceTable, asked: Compared) -> list[Slice]:
    old = now.get(asked.a)
    if asked.b is not None:
        return [old, now.get(asked.b)]
    if old.kind == "frozen":
        row = {**as_row(old), "kind": "live", "tables": None}
        return [old, replace(now.from_row(row), numbered=False)]
    before = [s for s in now.versions(old.name) if s.version < old.version]
    if not before:
        raise SliceError(
            f"Slice '{asked.a}' has one version.", "name a second slice, or a commit with --from."
        )
    return [replace(before[-1], numbered=True), replace(old, numbered=True)]


def _slice_of(table: SliceTable, now: SliceTable, name: str) -> Slice:
    """Return a slice of a moment; one that was defined later as it is defined now."""
    try:
        return table.get(name)
    except UnknownSliceError:
        later = now.get(name)
        return later if later.kind == "frozen" else table.from_row(as_row(later))


def _side(table: SliceTable, s: Slice, commit: str | None) -> Side:
    title = f"{s.title} at {commit}" if commit is not None else s.title
    if s.kind == "live":
        return Side(title, s, table.store, s.keys(), _definitions(table, s))
    members = table.members(s, present=False)
    then = Past(table.store, s.tables, f"{s.name}@{s.version}")
    title = title if s.numbered else f"{s.name}@{s.version}"
    return Side(title, s, then, members[0], _definitions(table, s), members)


def _definitions(table: SliceTable, s: Slice) -> Definitions:
    """Return the text of a slice and of those it is made of, as they were when it was frozen."""
    known = table.latest(until=s.created_at if s.kind == "frozen" else None)
    definitions: dict[str, str | Keys] = {"": s.question}
    todo = references(s.text)
    while todo:
        name = todo.pop()
        part = known.get(name)
        if name in definitions or part is None:
            continue
        if part.kind == "frozen":
            definitions[name] = table.members(part, present=False)[0]
            continue
        definitions[name] = part.question
        todo += references(part.text)
    return definitions


def _reads(side: Side, table: SliceTable) -> Reads | None:
    try:
        plan = getattr(table.ask(side.slice.question), "plan", None)
    except SliceDBError:
        return None
    return None if plan is None else plan().reads
