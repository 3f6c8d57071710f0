"""Make an edit of one sample, and finish one that was cut off."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from slicedb import edits as samples
from slicedb.editing import log
from slicedb.editing.deciding import look_up, size_of
from slicedb.editing.entry import Edit, author_of
from slicedb.editing.restoring import restore
from slicedb.editing.wanted import Values, Wanted, changed
from slicedb.errors import CheckError, UnknownSampleError
from slicedb.schema import SAMPLES
from slicedb.show.tabular import Record
from slicedb.store import Store


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
    row = look_up(store, [sample])[sample]
    for one in finished(store, sample):
        if one.change == asked.text and one.state == "done":
            return EditReport(sample, one)
        row = look_up(store, [sample])[sample]
    new = changed(asked, row, size_of(row))
    if not new.after:
        return EditReport(sample, None, notes=new.notes)
    added = log.New(sample, asked.text, new.before, new.after, row["sha256"])
    begun = log.begin(store, [added], author_of(author), "begun")[0]
    return EditReport(sample, _carried_out(store, begun), notes=new.notes)


def finished(store: Store, sample: str | None) -> list[Edit]:
    """Finish the edits, and the undoings, that were cut off; return those as they are now."""
    cut_off = log.edits_of(store, sample, states=["begun", "undoing"])
    return [
        _carried_out(store, one) if one.state == "begun" else taken_back(store, one)
        for one in cut_off
    ]


def _carried_out(store: Store, begun: Edit) -> Edit:
    is_written = _write(store, begun.sample, begun.before, begun.after)
    return log.mark(store, begun, "done" if is_written else "lost")


def taken_back(store: Store, begun: Edit) -> Edit:
    """Put back what was there before an edit, whatever is there now, and mark it as undone.

    Raises:
        CheckError: a deleted sample cannot be brought back; the edit stays done.
    """
    if begun.kind == "delete":
        try:
            restore(store, begun)
        except CheckError:
            log.mark(store, begun, "done")
            raise
    elif begun.kind == "edit":
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
