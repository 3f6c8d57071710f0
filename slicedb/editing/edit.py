"""Make an edit of one sample, finish one that was cut off, and take the last one back."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from slicedb import edits as samples
from slicedb.editing import log
from slicedb.editing.log import Edit
from slicedb.editing.wanted import COLUMNS, Values, Wanted, changed
from slicedb.errors import CheckError, UnknownSampleError, did_you_mean
from slicedb.schema import SAMPLES, keys_of
from slicedb.show.tabular import Record
from slicedb.store import Store

AUTHOR = "SLICEDB_AUTHOR"
"""Environment variable with the name of whoever edits; by default that of the user."""


@dataclass(frozen=True)
class EditReport(Record):
    """What an edit, or its undoing, did."""

    sample: str
    edit: Edit | None
    """None where nothing changed: the sample was so already."""
    undone: bool = False
    notes: tuple[str, ...] = ()

    def to_arrow(self) -> pa.Table:
        """Return one row: sample, change, author, undone."""
        edit = self.edit
        return pa.Table.from_pylist(
            [
                {
                    "sample": self.sample,
                    "change": edit.change if edit else None,
                    "author": edit.author if edit else None,
                    "undone": self.undone,
                }
            ]
        )

    def __str__(self) -> str:
        if self.edit is None:
            return "\n  ".join([f"{self.sample}: nothing changes.", *self.notes])
        text = "\n  ".join([f"{self.sample}: {self.edit}", *self.notes])
        return f"Taken back: {text}" if self.undone else text


def edit(store: Store, sample: str, asked: Wanted, author: str | None = None) -> EditReport:
    """Change one sample; see `Database.edit`.

    An edit that was cut off before is finished first; it was this one where it asked for the same.

    Raises:
        UnknownSampleError: there is no such sample.
        CheckError: nothing is asked for, or there is no such box.
    """
    if not asked:
        raise CheckError("Nothing is asked for.", "--label, --add-box, --remove-box, --tag, ...")
    row, size = _row(store, sample)
    for one in _finished(store, sample):
        if one.change == asked.text and one.state == "done":
            return EditReport(sample, one)
        row, size = _row(store, sample)
    new = changed(asked, row, size)
    if not new.after:
        return EditReport(sample, None, notes=new.notes)
    name = author or os.environ.get(AUTHOR) or _user()
    begun = log.begin(store, sample, name, asked.text, new.before, new.after)
    return EditReport(sample, _carried_out(store, begun), notes=new.notes)


def undo(store: Store, sample: str | None = None, *, force: bool = False) -> EditReport:
    """Take the last edit back; see `Database.undo`.

    Raises:
        CheckError: there is none, or the sample was changed since.
    """
    finished = _finished(store, sample)
    for one in finished:
        if one.state == "undone":  # what was cut off was this
            return EditReport(one.sample, one, undone=True)
    done = [one for one in log.edits_of(store, sample) if one.state == "done"]
    if not done:
        of = "" if sample is None else f" of '{sample}'"
        raise CheckError(f"There is no edit{of} to take back.", "`slicedb edit ID --history`.")
    last = done[-1]
    row, _ = _row(store, last.sample)
    others = [n for n, value in last.after.items() if row[n] != value]
    if others and not force:
        raise CheckError(
            f"{', '.join(others)} of '{last.sample}' was changed since that edit: "
            f"{', '.join(str(row[n])[:60] for n in others)}.",
            "force=True (--force) puts back what was there before the edit all the same.",
        )
    begun = log.mark(store, last, "undoing")
    return EditReport(last.sample, _taken_back(store, begun), undone=True)


def _finished(store: Store, sample: str | None) -> list[Edit]:
    """Finish what was cut off; return those edits as they are now."""
    finished = []
    for one in log.edits_of(store, sample):
        if one.state == "pending":
            finished.append(_carried_out(store, one))
        elif one.state == "undoing":
            finished.append(_taken_back(store, one))
    return finished


def _carried_out(store: Store, begun: Edit) -> Edit:
    is_written = _write(store, begun.sample, begun.before, begun.after)
    return log.mark(store, begun, "done" if is_written else "lost")


def _taken_back(store: Store, begun: Edit) -> Edit:
    _write(store, begun.sample, None, begun.before)
    return log.mark(store, begun, "undone")


def _write(store: Store, sample: str, before: Values | None, after: Values) -> bool:
    """Write columns of a sample, and judge its predictions anew.

    Args:
        store: the database.
        sample: its id.
        before: what the columns have to be, unless they are `after` already; None: whatever.
        after: what they become.

    Returns:
        Whether they are so now; False: the sample is gone, or somebody else changed it.
    """
    found: list[bool] = []

    def change(rows: pa.Table) -> pa.Table:
        now = rows.to_pylist()[0]
        is_after = all(now[name] == value for name, value in after.items())
        is_before = before is None or all(now[name] == value for name, value in before.items())
        found.append(is_after or is_before)
        empty = is_after or not is_before
        schema = pa.schema([rows.schema.field(name) for name in after])
        values = pa.Table.from_pylist([] if empty else [after], schema)
        return values.add_column(0, "id", pa.array([] if empty else [sample], pa.string()))

    try:
        store.change(SAMPLES, [sample], list(after), change)
    except UnknownSampleError:
        return False
    samples.labels_changed(store, [sample])
    store.sync()
    return found[-1]


def _row(store: Store, sample: str) -> tuple[Values, tuple[int, int] | None]:
    """Return the columns of a sample that edits change, and its width and height.

    Raises:
        UnknownSampleError: there is no such sample.
    """
    names = [*COLUMNS, "width", "height"]
    rows, has_row = store.find(SAMPLES, keys_of([sample]), names, ids=[sample])
    if not has_row.all():
        some = store.table(SAMPLES, ["id"])["id"][:20_000].to_pylist()
        raise UnknownSampleError(
            f"There is no sample '{sample}'.", did_you_mean(sample, some, "samples")
        )
    row: dict[str, Any] = rows.to_pylist()[0]
    size = (row["width"], row["height"]) if row["width"] and row["height"] else None
    return {name: row[name] for name in COLUMNS}, size


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
