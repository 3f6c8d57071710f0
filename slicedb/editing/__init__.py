"""Edit one sample: its boxes, label and tags; every edit is written down and can be taken back."""

from __future__ import annotations

from slicedb.editing.edit import EditReport, edit, undo
from slicedb.editing.log import Edit, edits_of
from slicedb.editing.wanted import BoxGiven, SetGiven

__all__ = ["BoxGiven", "Edit", "EditReport", "SetGiven", "edit", "edits_of", "undo"]
