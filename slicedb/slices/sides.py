"""What is compared with what: slices, versions and commits to the two sides of a diff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from slicedb.errors import SliceDBError, SliceError, UnknownSliceError
from slicedb.query import Reads
from slicedb.slices.apply import references
from slicedb.slices.diff import Definitions, Diff, Side, diff
from slicedb.slices.slice import Keys, Slice
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
        asked: names and moments.
        past: gives the slices of a commit.
        anew: gives the members of definitions over the data of a registry.

    Raises:
        SliceError: a live slice that never changed has nothing to be compared with.
    """
    tables = [now if c is None else past(c) for c in (asked.before, asked.after)]
    if asked.before is not None or asked.after is not None:
        names = (asked.a, asked.b or asked.a)
        found = [_found(table, now, name) for table, name in zip(tables, names)]
    else:
        found = _of_present(now, asked)
    old, new = (_side(t, s, c) for t, s, c in zip(tables, found, (asked.before, asked.after)))
    return diff(old, new, lambda definitions: anew(tables[1], definitions), _reads(new, tables[1]))


def _of_present(now: SliceTable, asked: Compared) -> list[Slice]:
    old = get(now, asked.a)
    if asked.b is not None:
        return [old, get(now, asked.b)]
    if old.kind == "frozen":
        row = {**as_row(old), "kind": "live", "tables": None}
        return [old, replace(now.from_row(row), numbered=False)]
    before = [s for s in now.versions(old.name) if s.version < old.version]
    if not before:
        raise SliceError(
            f"Slice '{asked.a}' has one version.", "name a second slice, or a commit with --from."
        )
    return [replace(before[-1], numbered=True), replace(old, numbered=True)]


def get(table: SliceTable, name: str) -> Slice:
    """Return the slice of a name or `name@version`.

    Raises:
        UnknownSliceError: there is none.
    """
    bare, _, version = name.partition("@")
    found = table.latest()
    if not version and bare in found:
        return found[bare]
    for s in table.versions(bare) if version else ():
        if str(s.version) == version:
            return replace(s, numbered=True)
    where = f" at '{table.store.title}'" if table.store.title else ""
    raise UnknownSliceError(f"No slice '{name}'{where}.", f"slices: {', '.join(found) or 'none'}.")


def _found(table: SliceTable, now: SliceTable, name: str) -> Slice:
    """Return a slice of a moment; one that was defined later as it is defined now."""
    try:
        return get(table, name)
    except UnknownSliceError:
        later = get(now, name)
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
    found: dict[str, str | Keys] = {"": s.question}
    todo = references(s.text)
    while todo:
        name = todo.pop()
        part = known.get(name)
        if name in found or part is None:
            continue
        if part.kind == "frozen":
            found[name] = table.members(part, present=False)[0]
            continue
        found[name] = part.question
        todo += references(part.text)
    return found


def _reads(side: Side, table: SliceTable) -> Reads | None:
    try:
        plan = getattr(table.ask(side.slice.question), "plan", None)
    except SliceDBError:
        return None
    return None if plan is None else plan().reads
