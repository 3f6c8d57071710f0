"""Lay decisions over a sample: what it becomes, and which of them still fit it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from slicedb.editing.entry import Edit, shown
from slicedb.editing.wanted import COLUMNS, Values, Wanted, changed
from slicedb.errors import CheckError

SEEN = (*COLUMNS, "sha256")
"""The columns of a sample that decisions are about."""
_FIRM = ("label", "labels", "objects")
"""Columns of which a change by others stands against a decision. Tags are given and taken one by
one, so that nobody's gets lost."""
_REPLACED = "replaced by a later decision"


def effective(edits: Iterable[Edit]) -> list[Edit]:
    """Return what is left of one author's decisions on one sample.

    Keeping takes back what was decided before, an edit takes back a deletion, and skipping nothing.
    """
    left: list[Edit] = []
    for edit in edits:
        if edit.kind == "keep":
            left = []
        elif edit.kind == "edit":
            left = [one for one in left if one.kind == "edit"]
        elif edit.kind == "delete":
            left = [one for one in left if one.kind != "delete"]
        left.append(edit)
    return left


def overlaid(row: Values, edits: Sequence[Edit]) -> tuple[Values, bool]:
    """Return a sample as one author's decisions would leave it, and whether it would be deleted."""
    is_gone = False
    for edit in effective(edits):
        is_gone = is_gone or edit.kind == "delete"
        if edit.kind == "edit":
            row = {**row, **_applied(edit, row)}
    return row, is_gone


@dataclass(frozen=True)
class Folded:
    """What all decisions on a sample make of it."""

    row: Values
    """The columns of `COLUMNS` afterwards."""
    is_gone: bool
    edits: list[Edit]
    """Each with what became of it: done, refused or discarded."""


def fold(now: Values | None, edits: Sequence[Edit]) -> Folded:
    """Lay decisions over a sample as it is now, which may be what they made of it already.

    The decisions of one author follow one another, and authors come by their first decision. One
    that does not fit the sample any more is refused, the others are not.

    Args:
        now: the columns of `SEEN`; None where the sample is gone.
        edits: in the order in which they were made.
    """
    planned = _folded(_seen_by(edits), edits)
    if now is None:
        return planned if planned.is_gone else _refused(edits, "the sample is no longer there")
    # A column that is what the decisions make of it is taken for the work of a call that was cut
    # off: they are laid over what they were made from, so that no box is added twice.
    seen = _seen_by(edits)
    redone = [c for c in _FIRM if c in seen and now[c] == planned.row[c] != seen[c]]
    return _folded({**now, **{column: seen[column] for column in redone}}, edits)


def _seen_by(edits: Sequence[Edit]) -> Values:
    """Return the columns as the decisions were made from, where they say it."""
    seen: Values = dict.fromkeys(SEEN)
    for edit in reversed(edits):
        seen |= edit.before
        seen["sha256"] = edit.sha256
    return seen


def _folded(row: Values, edits: Sequence[Edit]) -> Folded:
    own: dict[str, list[Edit]] = {}
    for edit in edits:
        own.setdefault(edit.author, []).append(edit)
    ended: dict[str, Edit] = {}
    is_gone = False
    for theirs in own.values():
        start, valid = row, effective(theirs)
        for edit in theirs:
            if edit not in valid:
                ended[edit.id] = replace(edit, state="discarded", note=_REPLACED)
                continue
            against = _against(edit, start, is_gone)
            if against:
                ended[edit.id] = replace(edit, state="refused", note=against)
                continue
            try:
                after = _applied(edit, row)
            except CheckError as error:
                ended[edit.id] = replace(edit, state="refused", note=error.message)
                continue
            if after:  # else it came about in another way, or a call that was cut off wrote it
                edit = replace(edit, before={name: row[name] for name in after}, after=after)
            is_gone = is_gone or edit.kind == "delete"
            ended[edit.id] = replace(edit, state="done")
            row = {**row, **after}
    return Folded(
        {name: row[name] for name in COLUMNS}, is_gone, [ended[edit.id] for edit in edits]
    )


def _against(edit: Edit, now: Values, is_gone: bool) -> str:
    """Return what stands against a decision; "" where nothing does.

    Args:
        edit: the decision.
        now: the sample before its author's decisions.
        is_gone: whether another author's decision deletes it.
    """
    if edit.kind in ("keep", "skip"):
        return ""
    if is_gone:
        return "" if edit.kind == "delete" else "another decision deletes the sample"
    if edit.sha256 != now["sha256"]:
        return "the picture is another one since"
    for name in (*_FIRM, "tags") if edit.kind == "delete" else _FIRM:
        if name not in edit.before or now[name] == edit.before[name]:
            continue
        if name == "objects":
            return "the boxes were changed since"
        if name not in edit.after or now[name] != edit.after[name]:
            # What was decided and came about in another way is as it should be.
            return f"{name} was changed since: {shown(edit.before[name])} -> {shown(now[name])}"
    return ""


def _applied(edit: Edit, row: Values) -> Values:
    """Return the columns that an edit changes, as it leaves them.

    Raises:
        CheckError: a box is not there.
    """
    if edit.kind != "edit":
        return {}
    return changed(Wanted.read(edit.change), row, None).after


def _refused(edits: Sequence[Edit], why: str) -> Folded:
    ended = [
        replace(e, state="done") if e.kind in ("keep", "skip") else _ended(e, why) for e in edits
    ]
    return Folded(dict.fromkeys(COLUMNS), False, ended)


def _ended(edit: Edit, why: str) -> Edit:
    if edit.kind == "delete":
        return replace(edit, state="done", note=f"{why}: somebody else deleted it")
    return replace(edit, state="refused", note=why)
