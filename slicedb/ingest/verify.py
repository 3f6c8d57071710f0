"""Read, hash and decode images in threads, one chunk of them per task."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from slicedb import media
from slicedb.errors import MediaError, SourceError
from slicedb.schema import OK, QUALITY, SAMPLES, SAMPLES_SCHEMA, UNVERIFIED
from slicedb.sources import fetch, is_remote, read
from slicedb.store import Store

_T = TypeVar("_T")

_SMALL = 8192
"""Bytes an image, on average, below which one thread at a time works on a chunk: the interpreter's
lock then changes hands for longer than it takes to decode, and two threads are slower than one."""
_one_small = threading.Lock()


@dataclass(slots=True)
class Verified:
    """What verifying some images gave: one list per column of `samples`, all parallel."""

    data: list[bytes | None] = field(default_factory=list)
    """The encoded bytes; None when they cannot be read."""
    same: list[bool] = field(default_factory=list)
    """Whether the bytes are what was expected, in which case nothing was decoded."""
    sha256: list[str | None] = field(default_factory=list)
    width: list[int | None] = field(default_factory=list)
    height: list[int | None] = field(default_factory=list)
    format: list[str | None] = field(default_factory=list)
    captured_at: list[dt.datetime | None] = field(default_factory=list)
    bytes: list[int | None] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    error: list[str | None] = field(default_factory=list)
    phash: list[int | None] = field(default_factory=list)
    turned_phash: list[int | None] = field(default_factory=list)
    dct_hash: list[str | None] = field(default_factory=list)
    quality: list[tuple[float | None, ...]] = field(default_factory=list)
    """The values of the columns of `QUALITY`, empty where they were not asked for."""

    def extend(self, other: Verified) -> None:
        """Add the rows of another chunk."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))

    def columns(self, rows: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns of `samples` for some of the rows, int64 (m,)."""
        columns = {
            name: pa.array(some_of(getattr(self, name), rows), SAMPLES_SCHEMA.field(name).type)
            for name in MEASURED
        }
        told = some_of(self.quality, rows)
        if told and told[0]:
            for name, values in zip(QUALITY.names, zip(*told)):
                columns[name] = pa.array(values, QUALITY.field(name).type)
        return columns


def has_quality(store: Store) -> bool:
    """Return whether samples have columns of quality: then a picture that changed gets its own."""
    return QUALITY.names[0] in store.schema(SAMPLES).names


def unopened(images: Sequence[bytes | str | None], same: list[bool]) -> Verified:
    """Return rows that say that their images were not opened.

    Args:
        images: encoded bytes, which are kept, or paths, which are not read.
        same: which of them count as what they were last time.
    """
    n = len(images)
    data = [image if isinstance(image, bytes) else None for image in images]
    verified = Verified(data, same)
    for name in verified.__slots__[2:]:
        setattr(verified, name, [None] * n)
    verified.bytes = [None if image is None else len(image) for image in data]
    verified.status = [UNVERIFIED] * n
    return verified


def some_of(values: list[_T], rows: np.ndarray) -> list[_T]:
    """Return the values of rows, int64 (m,); the list itself where all are meant."""
    if len(rows) == len(values) and np.array_equal(rows, np.arange(len(rows))):
        return values
    return [values[i] for i in rows.tolist()]


MEASURED = tuple(
    "sha256 phash turned_phash dct_hash width height format bytes status error captured_at".split()
)
"""The columns of `samples` that come from the bytes."""


def verify(
    images: Sequence[bytes | str | None],
    names: Sequence[str],
    sizes: Sequence[int],
    expected: Sequence[int],
    max_pixels: int = media.MAX_PIXELS,
    quality: bool = False,
    ranges: media.Ranges | None = None,
) -> Verified:
    """Read, hash and decode a chunk of images; nothing that is wrong with one of them is raised.

    Args:
        images: encoded bytes, or the path to read them from, or None when there is neither.
        names: file names, whose extension has to agree with the bytes.
        sizes: bytes that each file is believed to have.
        expected: 60 bits of the sha256 that was there last time, -1 for new ones; bytes that
            have it are not decoded again.
        max_pixels: width × height beyond which an image is refused.
        quality: fill the columns of `QUALITY`; those that need colours become null.
        ranges: what deep gray is shown by, of each format.
    """
    grays: list[np.ndarray] = []
    seen: list[media.quality.Seen] | None = [] if quality else None
    far = fetch(image for image in images if isinstance(image, str) and is_remote(image))
    opened: list[bytes | str | SourceError | None] = [
        far.get(image, image) if isinstance(image, str) else image for image in images
    ]
    with _one_small if sum(sizes) < _SMALL * len(sizes) else contextlib.nullcontext():
        rows = [
            _row(image, name, size, content, max_pixels, ranges or {}, grays, seen)
            for image, name, size, content in zip(opened, names, sizes, expected)
        ]
    verified = Verified(*map(list, zip(*rows)))
    _hash(verified, grays)
    verified.quality = [()] * len(verified.width)
    if seen is not None:
        measured = zip(*(values.tolist() for values in media.quality.measure(seen)))
        nothing = (None,) * len(QUALITY)
        colours = nothing[len(media.quality.Light._fields) :]
        verified.quality = [
            nothing if width is None else (*next(measured), *colours) for width in verified.width
        ]
    return verified


def _hash(verified: Verified, grays: list[np.ndarray]) -> None:
    """Add the perceptual hashes of the pictures that were decoded."""
    if not verified.width:
        return
    gray = _stacked(grays) if grays else np.empty((0, 32, 32), np.uint8)
    turned, signs = media.looks(gray)
    hashes = zip(media.phash(gray).tolist(), turned.tolist(), media.to_hex(signs))
    nothing = (None, None, None)
    rows = [nothing if width is None else next(hashes) for width in verified.width]
    verified.phash, verified.turned_phash, verified.dct_hash = map(list, zip(*rows))


def _stacked(grays: list[np.ndarray]) -> np.ndarray:
    """Return pictures of one shape as one array, in half the time of `np.stack`."""
    return np.concatenate(grays).reshape(len(grays), *grays[0].shape)


def _row(
    image: bytes | str | SourceError | None,
    name: str,
    size: int,
    content: int,
    max_pixels: int,
    ranges: media.Ranges,
    grays: list[np.ndarray],
    seen: list[media.quality.Seen] | None,
) -> tuple[Any, ...]:
    """Return one row of `Verified`, up to the perceptual hash, whose picture goes to `grays`."""
    data, digest, same = None, None, False
    width = height = format = taken = None
    status, error = OK, None
    try:
        data = image if isinstance(image, bytes) else _read(image, size)
        digest = media.sha256(data)
        same = content >= 0 and int(digest[:15], 16) == content
        if not same:
            shown = media.ranged(data, ranges)
            info = media.inspect(shown, max_pixels=max_pixels, see=seen is not None)
            width, height, format, gray, taken, remark, sight = info
            grays.append(gray)
            if seen is not None and sight is not None:
                seen.append(sight)
            if error := media.wrong_extension(name, format) or None:
                status = "wrong_extension"
            error = error or remark
    except MediaError as problem:
        status, error = problem.reason, problem.message
    except MemoryError:
        status, error = "too_large", "There is not enough memory to decode it."
    n = None if data is None else len(data)
    return data, same, digest, width, height, format, taken, n, status, error


def _read(path: str | SourceError | None, size: int) -> bytes:
    """Return a file's bytes.

    Args:
        path: of the file, or why an object of a bucket could not be read.
        size: bytes it is believed to have; with another size it takes a little longer.

    Raises:
        MediaError: with the reason "unreadable".
    """
    if path is None:
        raise MediaError("unreadable", "The source names no file.")
    if isinstance(path, SourceError):
        raise MediaError("unreadable", path.message) from path
    try:
        return read(path, size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError("unreadable", f"{path}: {reason}.") from error
