"""Describe a slice: live, frozen, stale or broken, and what `slice show` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slicedb.errors import SliceDBError
from slicedb.keys import KeyIndex
from slicedb.schema import EMBEDDINGS
from slicedb.show import numbers
from slicedb.show.text import clean
from slicedb.slices.slice import Slice
from slicedb.slices.table import SliceTable

if TYPE_CHECKING:
    from slicedb.query import Query


@dataclass(frozen=True)
class SliceState:
    """How a slice stands to the database as it is."""

    kind: Literal["live", "frozen", "stale", "broken"]
    """stale: frozen, and its query finds other samples now. broken: its text does not bind: a
    model, an embedding, a column or a slice it names is gone."""
    note: str = ""
    """What a stale slice's query would add and remove, or what a broken one lacks."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.note}" if self.note else self.kind


@dataclass(frozen=True)
class SliceInfo:
    """What `slice show` prints."""

    slice: Slice
    count: int | None
    """Members now; None where its text does not bind."""
    deleted: list[str]
    """Ids a frozen slice had that are no longer in the database."""
    state: SliceState = SliceState("live")
    versions: tuple[Slice, ...] = ()
    """Every version, oldest first."""
    looks: str = ""
    """How often models were judged on it, for example "12 looks (v3 8, v4 4)"."""

    def __str__(self) -> str:
        s = self.slice
        samples = "unknown samples" if self.count is None else numbers.count(self.count, "sample")
        lines = [f"{s.name}  {s.kind}, version {s.version}, {samples}"]
        lines += [str(self.state)] if self.state.kind in ("stale", "broken") else []
        lines += [s.description] if s.description else []
        lines += [f"from {s.path}"] if s.path else []
        lines += ["", s.text]
        lines += ["", *(f"expects {e}" for e in s.expect)] if s.expect else []
        if s.holdout is not None:
            of = f" of the groups of {s.group}" if s.group else ""
            lines += ["", f"{s.holdout:.0%}{of} are held out from training"]
        lines += [self.looks] if self.looks else []
        if s.calibration is not None:
            lines += ["", str(s.calibration)]
        if s.tables:
            at = ", ".join(f"{t} {v}" for t, v in sorted(s.tables.items()))
            lines += ["", f"frozen at {at}"]
        if self.deleted:
            shown = ", ".join(self.deleted[:5]) + (" ..." if len(self.deleted) > 5 else "")
            gone = numbers.count(len(self.deleted), "sample was", "samples were")
            lines += [f"{gone} deleted since: {shown}"]
        if len(self.versions) > 1:
            lines += ["", *(_version_line(v, v.version == s.version) for v in self.versions)]
        return clean("\n".join(lines), keep="\n")


def _version_line(s: Slice, shown: bool) -> str:
    when = f"{s.created_at:%Y-%m-%d %H:%M}" if s.created_at else ""
    text = " ".join(s.text.split())
    cut = text if len(text) <= 60 else text[:59] + "…"
    return f"{'*' if shown else ' '} {s.name}@{s.version}  {when}  {s.kind:6}  {cut}"


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
