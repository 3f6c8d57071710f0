"""One edit of one sample: what it changes, whose it is, and how far it got."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from slicedb.editing.wanted import Values
from slicedb.show import numbers
from slicedb.show.tabular import Record

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
