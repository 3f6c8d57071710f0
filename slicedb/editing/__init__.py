"""Edit samples by hand: what a person decides is written down, applied together, and taken back."""

from __future__ import annotations

from slicedb.editing.applying import ApplyReport, apply, finish
from slicedb.editing.deciding import DecideReport, decide, discard
from slicedb.editing.edit import EditReport, edit
from slicedb.editing.entry import Edit, State, author_of
from slicedb.editing.log import count_pending, edits_of, last_of
from slicedb.editing.preview import Preview, preview
from slicedb.editing.undoing import undo
from slicedb.editing.wanted import BoxGiven, SetGiven

__all__ = [
    "ApplyReport",
    "BoxGiven",
    "DecideReport",
    "Edit",
    "EditReport",
    "Preview",
    "SetGiven",
    "State",
    "apply",
    "author_of",
    "count_pending",
    "decide",
    "discard",
    "edit",
    "edits_of",
    "finish",
    "last_of",
    "preview",
    "undo",
]
