"""Put dropped tables aside, so that a version number of a table never means two contents.

Caches in memory and in `.cache` are keyed by (table, version). A table that is created again under
the name of a dropped one therefore continues its version numbers: an empty dataset of the old
table is kept aside and becomes the new one.
"""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import pyarrow as pa

FRAGMENT_ROWS = 1 << 16
"""Rows of one fragment. An edit of one row costs Lance a pass over the row ids of its fragment:
relabelling one of a million rows takes 10 ms in fragments of this size, 80 ms in one large one."""
LAYOUT: dict[str, bool | str | int] = {
    "enable_stable_row_ids": True,
    "data_storage_version": "2.2",
    "max_rows_per_file": FRAGMENT_ROWS,
}
"""How every table is stored."""

_FOLDER = ".dropped"


def is_table(folder: str) -> bool:
    """Return whether a folder holds a version; an interrupted creation leaves none."""
    try:
        with os.scandir(os.path.join(folder, "_versions")) as entries:
            return any(entry.name.endswith(".manifest") for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False


def put_aside(root: str, name: str) -> None:
    """Remove a table at once, and keep nothing but its last version number.

    Args:
        root: the folder of the database.
        name: the table.
    """
    import lance

    aside = _aside(root, name)
    shutil.rmtree(aside, ignore_errors=True)
    os.makedirs(os.path.dirname(aside), exist_ok=True)
    try:
        os.rename(os.path.join(root, f"{name}.lance"), aside)
    except FileNotFoundError:
        return  # another process was faster
    nothing = pa.table({"id": pa.array([], pa.string())})
    written = lance.write_dataset(nothing, aside, mode="overwrite", **LAYOUT)
    written.cleanup_old_versions(
        older_than=timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False
    )


def make_anew(root: str, name: str, rows: pa.Table | pa.RecordBatchReader) -> bool:
    """Create a table from one that was put aside; False where there is none.

    Where another process creates it at the same time, its table wins, and this is False too.
    """
    import lance

    aside, place = _aside(root, name), os.path.join(root, f"{name}.lance")
    if not is_table(aside) or is_table(place):
        return False
    lance.write_dataset(rows, aside, mode="overwrite", **LAYOUT)
    try:
        os.rename(aside, place)
    except OSError:
        return False
    return True


def _aside(root: str, name: str) -> str:
    return os.path.join(root, _FOLDER, f"{name}.lance")
