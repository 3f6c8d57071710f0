"""Reach the files beneath the tables: file systems, fsync, sizes."""

from __future__ import annotations

import contextlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_TOGETHER = 8
"""Files that the disk is asked to keep at once."""
_SETTLED = 600.0
"""Seconds without a change after which a file is no longer being written."""
_REWRITTEN = ".json"
"""How files end that may be written again: pins and branches."""


def put_file(path: Path, content: bytes) -> None:
    """Put a file in the place of another, all at once; where that cannot be, nothing happens."""
    scratch = path.with_name(f".new-{os.getpid()}-{os.urandom(4).hex()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_bytes(content)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of a Lance message, without the Rust source location."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return re.sub(r",? (at )?/[^ ]*\.rs:\d+(:\d+)?.*$", "", text)


def file_in(error: BaseException) -> str:
    """Return the file of a table that an error names, else its first sentence."""
    path = re.search(r"[\w.-]+\.lance/[\w./-]+\.(?:lance|manifest|arrow|bin|txn)", str(error))
    return path.group(0) if path else first_sentence(error)


def is_panic(error: BaseException) -> bool:
    """Return whether Lance's native code gave up, as it does on some damaged files."""
    return type(error).__name__ == "PanicException"


def sync_folder(folder: str, since: float, settled: dict[str, int]) -> None:
    """Ask the disk to keep every file under a folder that changed after a time.

    Args:
        folder: everything beneath it.
        since: epoch seconds.
        settled: the inodes of files that nobody writes to any more, by path; they are not looked
            at, and what has become so is added. A table that has lived has thousands of them.
    """
    wanted: list[str] = []
    folders = [folder]
    while folders:
        inside = folders.pop()
        fresh = _fresh(inside, since, settled, folders)
        wanted += [*fresh, inside] if fresh else []
    # A disk takes what is asked of it at once in one go, a third of the time of one by one.
    with ThreadPoolExecutor(_TOGETHER, "slicedb-fsync") as pool:
        list(pool.map(_fsync, wanted))


def _fresh(inside: str, since: float, settled: dict[str, int], folders: list[str]) -> list[str]:
    """Return the files of a folder that changed after a time, and add its folders to a list."""
    fresh, old = [], min(since, time.time() - _SETTLED)
    with contextlib.suppress(FileNotFoundError), os.scandir(inside) as entries:
        for entry in entries:
            if settled.get(entry.path) == entry.inode() and not entry.name.endswith(_REWRITTEN):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
                continue
            with contextlib.suppress(FileNotFoundError):
                modified = entry.stat().st_mtime
                if modified >= since:
                    fresh.append(entry.path)
                elif modified < old:
                    settled[entry.path] = entry.inode()
    return fresh


def _fsync(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
