"""Reach the files beneath the tables: file systems, fsync, sizes."""

from __future__ import annotations

import contextlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from slicedb.errors import DatabaseError

_TOGETHER = 8
"""Files that the disk is asked to keep at once."""


def filesystem(text: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system and the path inside it."""
    if "://" not in text:
        return pafs.LocalFileSystem(), str(Path(text).expanduser().absolute())
    try:
        fs, root = pafs.FileSystem.from_uri(text)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DatabaseError(
            f"Cannot open '{text}': {first_sentence(error)}", "use a path, or s3:// and gs:// URIs."
        ) from error
    return fs, root.rstrip("/")


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


def sync_folder(folder: str, since: float) -> None:
    """Ask the disk to keep every file under `folder` that changed after `since` (epoch seconds)."""
    wanted: list[str] = []
    for inside, _, names in os.walk(folder):
        paths = (os.path.join(inside, name) for name in names)
        fresh = [path for path in paths if _modified(path) >= since]
        wanted += [*fresh, inside] if fresh else []
    # A disk takes what is asked of it at once in one go, a third of the time of one by one.
    with ThreadPoolExecutor(_TOGETHER, "slicedb-fsync") as pool:
        list(pool.map(_fsync, wanted))


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return -1.0


def _fsync(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def folder_bytes(path: str) -> int:
    """Return the bytes on disk under a folder."""
    return sum(
        os.path.getsize(os.path.join(folder, file))
        for folder, _, files in os.walk(path)
        for file in files
        if os.path.exists(os.path.join(folder, file))
    )
