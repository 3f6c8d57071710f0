"""Read, hash and decode images in threads, a chunk of them a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb import media
from slicedb.errors import MediaError
from slicedb.schema import OK


@dataclass(slots=True)
class Verified:
    """What was found out about some images, a list a column of `samples`, all parallel."""

    data: list[bytes | None] = field(default_factory=list)
    """The encoded bytes; None when they cannot be read."""
    same: list[bool] = field(default_factory=list)
    """Whether the bytes are what was expected, in which case nothing was decoded."""
    sha256: list[str | None] = field(default_factory=list)
    phash: list[int | None] = field(default_factory=list)
    width: list[int | None] = field(default_factory=list)
    height: list[int | None] = field(default_factory=list)
    format: list[str | None] = field(default_factory=list)
    bytes: list[int | None] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    error: list[str | None] = field(default_factory=list)
    captured_at: list[Any] = field(default_factory=list)

    def extend(self, other: Verified) -> None:
        """Add the rows of another chunk."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))

    def columns(self, rows: Sequence[int]) -> dict[str, pa.Array]:
        """Return the columns of `samples` for some of the rows."""
        from slicedb.schema import SAMPLES_SCHEMA

        whole = list(rows) == list(range(len(self.data)))  # as of a folder that is new
        columns = {}
        for name in MEASURED:
            values = getattr(self, name)
            some = values if whole else [values[i] for i in rows]
            columns[name] = pa.array(some, SAMPLES_SCHEMA.field(name).type)
        return columns


MEASURED = (
    "sha256", "phash", "width", "height", "format", "bytes", "status", "error", "captured_at",
)  # fmt: skip
"""The columns of `samples` that come from the bytes."""


def verify(
    images: Sequence[bytes | str | None],
    names: Sequence[str],
    expected: Sequence[int],
    max_pixels: int = media.MAX_PIXELS,
) -> Verified:
    """Read, hash and decode a chunk of images; nothing that is wrong with one of them is raised.

    Args:
        images: encoded bytes, or the path to read them from, or None when there is neither.
        names: file names, whose extension has to agree with the bytes.
        expected: 60 bits of the sha256 that was there last time, -1 for new ones; bytes that
            have it are not decoded again.
        max_pixels: width × height beyond which an image is refused.
    """
    found = Verified()
    grays: list[np.ndarray] = []
    for image, name, content in zip(images, names, expected):
        found.same.append(_add(found, grays, image, name, content, max_pixels))
    if grays:
        hashes = iter(media.phash(np.stack(grays)).tolist())
        found.phash = [None if p is None else next(hashes) for p in found.phash]
    return found


def _add(
    found: Verified,
    grays: list[np.ndarray],
    image: bytes | str | None,
    name: str,
    content: int,
    max_pixels: int,
) -> bool:
    """Add one row; return whether the bytes are as expected."""
    data, digest, info, taken = None, None, None, None
    status, error, same = OK, None, False
    try:
        data = image if isinstance(image, bytes) else _read(image)
        digest = media.sha256(data)
        same = content >= 0 and int(digest[:15], 16) == content
        if not same:
            info = media.inspect(data, max_pixels=max_pixels)
            taken = info.captured_at
            grays.append(info.gray)
            error = media.wrong_extension(name, info.format) or None
            status = "wrong_extension" if error else OK
    except MediaError as problem:
        status, error = problem.reason, problem.message
    except MemoryError:
        status, error = "too_large", "There is not enough memory to decode it."
    found.data.append(data)
    found.sha256.append(digest)
    found.phash.append(None if info is None else 0)
    found.width.append(info.width if info else None)
    found.height.append(info.height if info else None)
    found.format.append(info.format if info else None)
    found.bytes.append(None if data is None else len(data))
    found.status.append(status)
    found.error.append(error)
    found.captured_at.append(taken)
    return same


def _read(path: str | None) -> bytes:
    """Return a file's bytes.

    Raises:
        MediaError: with the reason "unreadable".
    """
    if path is None:
        raise MediaError("unreadable", "The source names no file.")
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(handle).st_size
            data = os.read(handle, size + 1)
            if len(data) == size:
                return data
        finally:
            os.close(handle)
        with open(path, "rb") as file:  # it grew, or it is beyond what one read gives
            return file.read()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        what = "only local files can be read" if "://" in path else said
        raise MediaError("unreadable", f"{path}: {what}.") from error
