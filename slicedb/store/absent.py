"""Mark tables that are not there now, though commits or frozen slices keep versions of them.

Going back to a commit from before a table was created, or dropping a table that a commit keeps,
leaves its folder in place. An empty file `<table>.absent` beside it says that the table is to be
treated as if it did not exist.
"""

from __future__ import annotations

import os

from slicedb.sources import Files

ENDING = ".absent"


def is_marked(root: str, name: str) -> bool:
    """Return whether a table of a local database is marked."""
    return os.path.exists(f"{root}/{name}{ENDING}")


def mark(files: Files, name: str) -> None:
    """Mark a table as not there."""
    files.write(f"{name}{ENDING}", b"")


def unmark(files: Files, name: str) -> None:
    """Take the mark from a table; one that has none is left alone."""
    files.remove(f"{name}{ENDING}")
