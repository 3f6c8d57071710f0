"""Files of this machine: what lies where, and their bytes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote, urlparse

from slicedb.sources.entry import Entry, Kind


def path_of(text: str) -> str:
    """Return the path that a text names.

    >>> path_of("file:///photos/a%20b.jpg"), path_of("photos")
    ('/photos/a b.jpg', 'photos')
    """
    return unquote(urlparse(text).path) if text.startswith("file://") else text


def kind(path: str) -> Kind | None:
    """Return what lies at a path; None where nothing does."""
    if os.path.isdir(path):
        return "folder"
    if os.path.isfile(path):
        return "file"
    return "other" if os.path.exists(path) else None


def entries(path: str) -> Iterator[Entry]:
    """Yield the names in a folder, in no order.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(path) as found:
        for entry in found:
            what: Kind = "other"
            if entry.is_file():
                what = "file"
            elif entry.is_dir():
                what = "folder"
            yield Entry(entry.name, what, entry.is_symlink())


def identity(path: str) -> object:
    """Return what is equal for two names of one folder, as links make them."""
    about = os.stat(path)
    return about.st_dev, about.st_ino


def open_file(path: str) -> BinaryIO:
    """Open a file to be read.

    Raises:
        OSError: it cannot be read, or it is a pipe or a device, which may never end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "Not a regular file", path)
    return open(path, "rb")


def read_regular(path: str, size: int = 0) -> bytes:
    """Return the bytes of a file; a pipe is not waited for, and a device is not read.

    Args:
        path: of the file; links are followed.
        size: bytes it is believed to have; with another size it takes a little longer.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "It is a pipe, a device or a folder, not a file")
        data = os.read(handle, size + 1)
        if len(data) == size:
            return data
        with os.fdopen(os.dup(handle), "rb") as file:  # it grew, or is beyond what one read gives
            return data + file.read()
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
