"""Name the table and the file that cannot be read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.errors import DatabaseError, SliceDBError
from slicedb.schema import spoken
from slicedb.sources import Files
from slicedb.store.files import file_in, is_panic
from slicedb.store.gone import gone

if TYPE_CHECKING:
    import lance

_BROKEN = (OSError, ValueError, RuntimeError, pa.ArrowException)
"""What Lance and Arrow raise where a file is not what it was."""


@contextlib.contextmanager
def named(
    name: str, files: Files, folder: str, opened: lance.LanceDataset | None
) -> Iterator[None]:
    """Raise what is raised in the block as an error that names the table and the file.

    Args:
        name: the table.
        files: of the database.
        folder: where the table lies; "" on an object store.
        opened: the table, where it could be opened.

    Raises:
        UnreachableError: the bucket of the database is gone.
        DatabaseError: something cannot be read.
    """
    try:
        yield
    except SliceDBError:
        raise
    except _BROKEN as error:
        raise gone(files, error) or damaged(name, folder, opened, error) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise damaged(name, folder, opened, error) from error


def damaged(
    name: str, folder: str, opened: lance.LanceDataset | None, error: BaseException
) -> DatabaseError:
    """Return the error that says what cannot be read, and what to do about it; see `named`."""
    files: list[str] = []
    if opened is not None and folder:
        with contextlib.suppress(*_BROKEN):
            files = damaged_files(opened, folder)
    place = files[0] if files else _place(name, folder, opened is not None, error)
    return DatabaseError(
        f"Table '{spoken(name)}' cannot be read: {place}.",
        "`slicedb doctor --deep` says what is damaged; bring the file back from a backup.",
    )


def damaged_files(dataset: lance.LanceDataset, folder: str) -> list[str]:
    """Return the files of a version that are missing or cut; none of them is read."""
    missing = []
    title = os.path.basename(folder)
    for fragment in dataset.get_fragments():
        deleted = fragment.deletion_file()
        if deleted and not os.path.isfile(os.path.join(folder, deleted)):
            missing.append(f"{title}/{deleted}")
        for file in fragment.data_files():
            path = os.path.join(folder, "data", file.path)
            size = os.path.getsize(path) if os.path.isfile(path) else -1
            if size < 0 or size != (file.file_size_bytes or size):
                missing.append(f"{title}/data/{file.path}")
    return missing


def _place(name: str, folder: str, is_open: bool, error: BaseException) -> str:
    """Return the file that an error names; of a table that does not open, its manifest."""
    text = file_in(error)
    if not folder or ".lance/" in text:
        return text
    manifests = sorted(Path(folder, "_versions").glob("*.manifest"))
    if is_open or not manifests:
        return f"{name}.lance: {text}"
    return f"{name}.lance/_versions/{manifests[0].name}"  # the newest sorts first
