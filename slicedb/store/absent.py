"""Mark tables that are not there now, though commits or frozen slices keep versions of them.

Going back to a commit from before a table was created, or dropping a table that a commit keeps,
leaves its folder in place. An empty file `<table>.absent` beside it says that the table is to be
treated as if it did not exist.
"""

from __future__ import annotations

import os

import pyarrow.fs as pafs

ENDING = ".absent"


def is_marked(root: str, name: str) -> bool:
    """Return whether a table of a local database is marked."""
    return os.path.exists(f"{root}/{name}{ENDING}")


def mark(fs: pafs.FileSystem, root: str, name: str) -> None:
    """Mark a table as not there."""
    with fs.open_output_stream(f"{root}/{name}{ENDING}") as file:
        file.write(b"")


def unmark(fs: pafs.FileSystem, root: str, name: str) -> None:
    """Take the mark from a table; one that has none is left alone."""
    place = f"{root}/{name}{ENDING}"
    if fs.get_file_info(place).type != pafs.FileType.NotFound:
        fs.delete_file(place)
