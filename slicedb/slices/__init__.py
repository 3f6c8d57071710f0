"""Slices: named queries, in the database and as files.

A live slice is asked again whenever it is used; a frozen one keeps the ids it had. Files in a
folder of `.sql` files are a suite: `Slices.apply` registers them, `read_file` reads one.
"""

from __future__ import annotations

from slicedb.slices.apply import Applied, sound_slices
from slicedb.slices.broken import BrokenSlice, unless_all
from slicedb.slices.diff import Diff
from slicedb.slices.files import SliceFile, find_files, read_file, read_folder
from slicedb.slices.info import SliceInfo, SliceState
from slicedb.slices.registry import Slices
from slicedb.slices.slice import Slice, in_share

__all__ = [
    "Applied",
    "BrokenSlice",
    "Diff",
    "Slice",
    "SliceFile",
    "SliceInfo",
    "SliceState",
    "Slices",
    "find_files",
    "in_share",
    "read_file",
    "read_folder",
    "sound_slices",
    "unless_all",
]
