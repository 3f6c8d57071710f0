"""Small pictures of samples, kept in a bounded cache on disk that processes share.

A file is named by the sha256 of its picture and by its side, so that pictures that are twice in a
database, and pictures that come back, are decoded once. It may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slicedb import media
from slicedb.errors import CheckError, MediaError
from slicedb.keys import Keys, distinct
from slicedb.schema import SAMPLES
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store.files import put_file

if TYPE_CHECKING:
    from slicedb.store.tables import Store

MOST_BYTES = 1 << 30
"""What the cache of a database may take on disk."""
_LEFT = 0.8
"""Part of it that an eviction leaves."""
_BETWEEN = 16
"""An eviction looks at the folder after a sixteenth of the bound was written."""
_FRESH = 3600.0
"""Seconds after which the use of a file is noted again, which costs a write."""
_CHUNK = 64
_SIDES = (8, 2048)
_written: dict[str, int] = {}
"""Bytes written by this process since it looked at a folder, by the folder."""


@dataclass(frozen=True)
class Thumbnails(Record):
    """Small pictures in the order of the keys."""

    images: tuple[bytes, ...] = field(repr=False)
    """JPEG; a gray picture with a cross where there is none to show."""
    side: int
    """Pixels that the longer side has at most."""
    n_cached: int
    """Taken from the cache, each key counted."""
    n_made: int
    n_broken: int
    """Pictures that do not decode or cannot be read."""
    n_missing: int
    """Keys that are no sample."""

    def __str__(self) -> str:
        said = f"{numbers.count(len(self.images), 'thumbnail')} of {self.side} pixels: "
        said += f"{self.n_cached:,} cached, {self.n_made:,} made"
        if self.n_broken:
            said += f", {self.n_broken:,} of broken pictures (status <> 'ok' shows known ones)"
        return said + (f", {self.n_missing:,} of no sample" if self.n_missing else "")


def thumbnails(
    store: Store,
    keys: Keys,
    side: int = 160,
    *,
    remote: bool = True,
    most_bytes: int = MOST_BYTES,
) -> Thumbnails:
    """Return small pictures of samples, made where the cache has none.

    Args:
        store: the database.
        keys: int64 (n,), in any order; a key may repeat.
        side: pixels that the longer side has at most; small pictures are not enlarged.
        remote: False fetches no picture from a bucket or a web server; the cache may have it.
        most_bytes: what the cache may take on disk; those used longest ago make room.

    Raises:
        CheckError: the side is not from 8 to 2048.
    """
    if not _SIDES[0] <= side <= _SIDES[1]:
        raise CheckError(f"A thumbnail of {side} pixels.", f"take {_SIDES[0]} to {_SIDES[1]}.")
    keys = np.asarray(keys, np.int64)
    rows, has_row = store.find(SAMPLES, keys, ["sha256"])
    ranges = store.gray_ranges()
    suffix = f"-{blake2b(repr(sorted(ranges.items())).encode()).hexdigest()[:8]}" if ranges else ""
    names: dict[int, str] = {}
    for key, sha in zip(keys[has_row].tolist(), rows["sha256"].to_pylist()):
        names[key] = _name(sha, suffix)
    folder = _folder(store, side)
    images = {key: data for key in names if (data := _kept(folder, names[key])) is not None}
    cached = set(images)
    new = [key for key in names if key not in images]
    broken = _make(store, new, side, folder, names, images, remote)
    if folder is not None:
        _bound(folder.parent, most_bytes)
    blank = placeholder(side)
    listed = keys.tolist()
    return Thumbnails(
        tuple(images.get(key, blank) for key in listed),
        side,
        n_cached=sum(key in cached for key in listed),
        n_made=sum(key in images and key not in cached for key in listed),
        n_broken=sum(key in broken for key in listed),
        n_missing=int((~has_row).sum()),
    )


def _name(sha: str | None, suffix: str) -> str:
    """Return the name of a file; empty where the picture was never read and has no sha256 yet."""
    is_plain = sha is not None and sha.isalnum() and sha.isascii()
    return f"{sha}{suffix}" if is_plain else ""


def _make(
    store: Store,
    keys: Sequence[int],
    side: int,
    folder: Path | None,
    names: dict[int, str],
    images: dict[int, bytes],
    remote: bool,
) -> set[int]:
    """Make the pictures of keys, keep them, and return the keys whose pictures are broken."""
    broken: set[int] = set()

    def small(pair: tuple[int, bytes]) -> tuple[int, bytes | None]:
        try:
            return pair[0], media.thumbnail(pair[1], side)
        except MediaError:
            return pair[0], None

    with ThreadPoolExecutor(media.n_threads()) as pool:
        for start in range(0, len(keys), _CHUNK):
            chunk = distinct(keys[start : start + _CHUNK])
            for key, data in pool.map(small, store.read_images(chunk, remote=remote)):
                if data is None:
                    broken.add(key)
                    continue
                images[key] = data
                if folder is not None and names[key]:
                    _keep(folder, names[key], data)
    return broken


@functools.cache
def placeholder(side: int) -> bytes:
    """Return the JPEG that stands for a picture that cannot be shown."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (side, side), (225, 225, 225))
    draw = ImageDraw.Draw(image)
    draw.line((0, 0, side, side), (150, 150, 150), max(1, side // 80))
    draw.line((0, side, side, 0), (150, 150, 150), max(1, side // 80))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def _folder(store: Store, side: int) -> Path | None:
    """Return the folder of one side; None where the cache cannot be written."""
    try:
        folder = store.cache_dir / "thumbnails" / str(side)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a database on a disk that cannot be written
        return None
    return folder


def _kept(folder: Path | None, name: str) -> bytes | None:
    """Return a picture that is kept whole: four bytes of its CRC stand before it."""
    if folder is None or not name:
        return None
    path = folder / name[:2] / name
    try:
        with path.open("rb") as file:
            data = file.read()
            if time.time() - os.fstat(file.fileno()).st_mtime > _FRESH:
                os.utime(path)
    except OSError:  # not made yet, or somebody deleted it
        return None
    image = data[4:]
    return image if image and zlib.crc32(image) == int.from_bytes(data[:4], "little") else None


def _keep(folder: Path, name: str, image: bytes) -> None:
    """Write a file in one step, so that no process ever reads half of it."""
    data = zlib.crc32(image).to_bytes(4, "little") + image
    put_file(folder / name[:2] / name, data)
    root = str(folder.parent)
    # The first file that a process writes makes it look at what others have left.
    _written[root] = _written.get(root, MOST_BYTES) + len(data)


def _bound(root: Path, most: int) -> None:
    """Delete the files used longest ago when they are more than `most` bytes together."""
    if _written.get(str(root), 0) <= most // _BETWEEN:
        return
    _written[str(root)] = 0
    files = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # another process evicts too
                state = os.stat(path)
                files.append((state.st_mtime, state.st_size, path))
    total = sum(size for _, size, _ in files)
    if total <= most:
        return
    for _, size, path in sorted(files):
        if total <= most * _LEFT:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size
