"""Take an edit back: one that is applied by its inverse, a pending one by forgetting it."""

from __future__ import annotations

import json
from functools import partial

from slicedb.editing import log
from slicedb.editing.deciding import look_up
from slicedb.editing.edit import EditReport, finished, taken_back
from slicedb.editing.entry import Edit
from slicedb.editing.folding import effective
from slicedb.errors import CheckError
from slicedb.store import Store

_BOXES = {"remove", "change", "add"}


def undo(
    store: Store,
    sample: str | None = None,
    *,
    number: int | None = None,
    author: str | None = None,
    queue: str | None = None,
    force: bool = False,
) -> EditReport:
    """Take an edit back; see `Database.undo`.

    Raises:
        CheckError: there is none, the sample was changed since, or a later one counts on it.
    """
    for one in finished(store, sample):
        is_meant = number in (None, one.number) and author in (None, one.author)
        if one.state == "undone" and is_meant:  # what was cut off was this
            return EditReport(one.sample, one, undone=True)
    while True:
        last = _last(store, sample, number, author, queue)
        if last.state == "done":
            return _applied(store, last, force)
        _refuse_counted_on(store, last)
        if log.claim(store, [last], ["pending"], "discarded"):
            store.sync()
            return EditReport(last.sample, last, undone=True)


def _last(
    store: Store, sample: str | None, number: int | None, author: str | None, queue: str | None
) -> Edit:
    """Return the last edit that can be taken back."""
    if number is not None and sample is None:
        raise CheckError(f"The edit {number} of which sample?", "name the sample.")
    find = partial(log.last_of, store, sample, number=number, author=author, queue=queue)
    if (last := find(states=("pending", "done"))) is not None:
        return last
    of = "" if sample is None else f" of '{sample}'"
    which = "" if number is None else f" {number}"
    other = None if number is None else find(states=())
    state = "" if other is None else f"; it is {other.state}"
    raise CheckError(
        f"There is no edit{which}{of} to take back{state}.", "`slicedb edits` lists them."
    )


def _applied(store: Store, last: Edit, force: bool) -> EditReport:
    if last.kind == "edit":
        row = look_up(store, [last.sample])[last.sample]
        others = [n for n, value in last.after.items() if row[n] != value]
        if others and not force:
            raise CheckError(
                f"{', '.join(others)} of '{last.sample}' was changed since that edit: "
                f"{', '.join(str(row[n])[:60] for n in others)}.",
                "force=True (--force) puts back what was there before the edit all the same.",
            )
    begun = log.mark(store, last, "undoing")
    return EditReport(last.sample, taken_back(store, begun), undone=True)


def _refuse_counted_on(store: Store, edit: Edit) -> None:
    """Raise CheckError where a later pending edit names boxes by the numbers that this one gave."""
    if not _is_of_boxes(edit):
        return
    own = log.edits_of(store, edit.sample, states=["pending"], author=edit.author)
    later = [e for e in effective(own) if e.number > edit.number and _is_of_boxes(e)]
    if later:
        raise CheckError(
            f"A later edit of the boxes of '{edit.sample}' counts on this one "
            f"(number {later[-1].number}).",
            f"take back number {later[-1].number} first: "
            f"`slicedb undo {edit.sample} --number {later[-1].number}`.",
        )


def _is_of_boxes(edit: Edit) -> bool:
    return bool(_BOXES & json.loads(edit.change).keys())
