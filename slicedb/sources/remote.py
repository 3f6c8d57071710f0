"""Objects in buckets: listings, one object's facts, and bytes.

A listing is complete or it is an error. It is kept until `forget`, so that readers may look at
folders as often as they like, and no object is asked for alone.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from slicedb.errors import SourceError, UnreachableError
from slicedb.sources.address import address
from slicedb.sources.client import client
from slicedb.sources.entry import Entry, Kind
from slicedb.sources.failure import explain, tried

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import ReadableFile

_PAGE = 1000
_LOOKS = 32
"""Objects that are asked for at once."""
_WHOLE = 64 << 20
"""Bytes of a file up to which it is read in one request."""


@dataclass(frozen=True)
class Listing:
    """Every object below a prefix, at one moment. The arrays are parallel, (n,), in key order."""

    root: str
    """"s3://photos"."""
    prefix: str
    """Where the listing began, without a slash at either end; "" is the whole bucket."""
    keys: list[str]
    """Paths in the bucket."""
    sizes: np.ndarray
    """int64: bytes."""
    etags: list[str]
    """What the store calls a version of the bytes; "" where it says nothing."""
    modified: np.ndarray
    """int64: nanoseconds since 1970, UTC; 0 where it was not asked for."""
    is_complete: bool = True
    """Whether these are all objects, and not what was known before with a few looked at anew."""

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Key to row."""
        return {key: i for i, key in enumerate(self.keys)}

    @cached_property
    def folders(self) -> dict[str, list[Entry]]:
        """Folder, without slashes at the ends, to the names in it."""
        inside: dict[str, list[Entry]] = {self.prefix: []}

        def folder(path: str) -> list[Entry]:
            found = inside.get(path)
            if found is None:
                found = inside[path] = []
                above, _, name = path.rpartition("/")
                if len(path) > len(self.prefix):
                    folder(above).append(Entry(name, "folder"))
            return found

        for key in self.keys:
            above, _, name = key.rpartition("/")
            folder(above).append(Entry(name, "file"))
        return inside

    def covers(self, key: str) -> bool:
        """Return whether a key lies below the prefix."""
        return not self.prefix or key == self.prefix or key.startswith(f"{self.prefix}/")


_lock = threading.Lock()
_listings: dict[str, list[Listing]] = {}


def forget(root: str, *, stand_ins: bool = False) -> None:
    """Let go of what was listed of a bucket, so that it is listed anew; of stand-ins if asked."""
    with _lock:
        kept = [one for one in _listings.pop(root, []) if not one.is_complete and not stand_ins]
        if kept:
            _listings[root] = kept


def stand_in(
    root: str, prefix: str, known: Iterable[tuple[str, int, str]], named: Sequence[str]
) -> int:
    """Let what is known, and some objects that are looked at now, stand for a listing.

    Args:
        root: "s3://photos".
        prefix: where the listing would begin.
        known: key, size and etag of objects that were there.
        named: keys of objects that are asked for one by one.

    Returns:
        How many of the named objects are there.

    Raises:
        SourceError: the bucket cannot be reached.
    """
    forget(root, stand_ins=True)
    rows = {key: (key, size, etag) for key, size, etag in known}
    with ThreadPoolExecutor(_LOOKS, "slicedb-look") as pool:
        found = list(pool.map(facts, [f"{root}/{key}" for key in named]))
    for key, about in zip(named, found):
        rows.pop(key, None)
        if about is not None:
            rows[key] = (key, about.size, about.etag)
    ordered = sorted(rows.values())
    listing = Listing(
        root,
        prefix,
        [row[0] for row in ordered],
        np.array([row[1] for row in ordered], np.int64),
        [row[2] for row in ordered],
        np.zeros(len(ordered), np.int64),
        is_complete=False,
    )
    with _lock:
        _listings.setdefault(root, []).append(listing)
    return sum(about is not None for about in found)


def listed(text: str, told: Callable[[int], None] | None = None) -> Listing:
    """Return every object below an address, from the last listing or a new one.

    Args:
        text: "s3://photos/2024".
        told: called with the number of objects of each page.

    Raises:
        SourceError: the bucket cannot be reached, or a page of the listing fails.
    """
    root, key = address(text)
    known = covering(root, key)
    if known is None:
        known = _list(root, key, told)
        with _lock:
            _listings.setdefault(root, []).append(known)
    return known


def covering(root: str, key: str) -> Listing | None:
    """Return a listing that was made and holds everything below a key."""
    with _lock:
        return next((one for one in _listings.get(root, []) if one.covers(key)), None)


def _list(root: str, prefix: str, told: Callable[[int], None] | None) -> Listing:
    from obstore.exceptions import BaseError

    where = f"{root}/{prefix}" if prefix else root
    try:
        _look(root, prefix)
        _gone.pop(root, None)
        rows = tried(lambda: _pages(root, prefix, told))
    except (BaseError, FileNotFoundError) as error:
        raise explain(error, where) from error
    above = _ancestors(row[0] for row in rows)
    # Consoles make an empty object for a folder: the others lie below its name.
    rows = sorted(row for row in rows if row[1] or row[0] not in above)
    return Listing(
        root,
        prefix,
        [row[0] for row in rows],
        np.array([row[1] for row in rows], np.int64),
        [row[2] for row in rows],
        np.array([row[3] for row in rows], np.int64),
    )


def _look(root: str, prefix: str) -> bool:
    """Return whether there is any object, which takes a client some seconds where nobody answers.

    Raises:
        obstore.exceptions.BaseError: the store cannot be reached.
    """
    import obstore

    quick = client(root, quick=True)
    return bool(tried(lambda: next(iter(obstore.list(quick, prefix or None, chunk_size=1)), None)))


def _pages(
    root: str, prefix: str, told: Callable[[int], None] | None
) -> list[tuple[str, int, str, int]]:
    """Return key, size, etag and time of every object."""
    import obstore

    rows: list[tuple[str, int, str, int]] = []
    for page in obstore.list(client(root), prefix or None, chunk_size=_PAGE):
        rows += [
            (o["path"], o["size"], o["e_tag"] or "", int(o["last_modified"].timestamp() * 1e9))
            for o in page
        ]
        if told is not None:
            told(len(page))
    return rows


def _ancestors(keys: Iterable[str]) -> set[str]:
    """Return every folder that some keys lie below."""
    found: set[str] = set()
    for folder in {key.rpartition("/")[0] for key in keys}:
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


@dataclass(frozen=True)
class Facts:
    """What a store says of one object."""

    size: int
    etag: str


def facts(text: str) -> Facts | None:
    """Return what is known of an object; None where there is none.

    Raises:
        SourceError: the bucket cannot be reached.
    """
    import obstore
    from obstore.exceptions import BaseError

    root, key = address(text)
    known = covering(root, key)
    if known is not None:
        row = known.rows.get(key)
        return None if row is None else Facts(int(known.sizes[row]), known.etags[row])
    try:
        about = obstore.head(client(root, quick=True), key)
    except FileNotFoundError:
        return None
    except (BaseError, ValueError) as error:
        raise explain(error, text) from error
    return Facts(about["size"], about["e_tag"] or "")


def kind(text: str) -> Kind | None:
    """Return what lies at an address; None where nothing does.

    Raises:
        SourceError: the bucket cannot be reached.
    """
    from obstore.exceptions import BaseError

    root, key = address(text)
    known = covering(root, key)
    if known is not None:
        is_file = key in known.rows
        return "file" if is_file else "folder" if key in known.folders else None
    if key and facts(text) is not None:
        return "file"
    if root.startswith("http"):
        return None
    try:
        some = _look(root, key)
    except (BaseError, FileNotFoundError) as error:
        raise explain(error, text) from error
    return "folder" if some or not key else None


def entries(text: str) -> Iterator[Entry]:
    """Yield the names in a folder, in key order.

    Raises:
        SourceError: the bucket cannot be reached.
    """
    yield from listed(text).folders.get(address(text).key, [])


def read(text: str) -> bytes:
    """Return the bytes of an object.

    Raises:
        UnreachableError: nobody answers, or nobody may read any more.
        SourceError: there is none, or it cannot be read.
    """
    import obstore
    from obstore.exceptions import BaseError

    root, key = address(text)
    if root in _silent and time.monotonic() < _silent[root]:
        raise SourceError(
            f"Cannot reach '{text}': '{root}' does not answer.", "try it again later."
        )
    try:
        data = bytes(obstore.get(client(root), key).bytes())
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise explain(error, text) from error
    if data and _was_read.get(root) != key:
        _was_read[root] = key
    return data


_was_read: dict[str, str] = {}
"""By bucket, an object that could be read: where it cannot any more, it is not for the object."""
_silent: dict[str, float] = {}
"""By web server, until when (monotonic seconds) none of its pictures is asked for."""
_REST = 60.0
_TRUST = 5.0
"""Seconds for which a bucket that was looked at counts as there."""
_looked: dict[str, float] = {}
_gone: dict[str, tuple[float, UnreachableError]] = {}
"""By bucket, when (monotonic seconds) it was found to be gone: threads that come next do not ask it
once more, until it is listed again."""


def _gone_lately(root: str) -> UnreachableError | None:
    when, error = _gone.get(root, (0.0, None))
    if error is None or time.monotonic() - when > _TRUST:
        return None
    return UnreachableError(error.message, error.hint)


def ends_run(text: str, error: SourceError) -> UnreachableError | None:
    """Return the error that ends a run, where an object could not be read as its store is gone.

    A table may name pictures of many web servers. One that does not answer is left alone for a
    while, and its pictures are samples that cannot be read.

    Args:
        text: the address of the object.
        error: what reading it raised.
    """
    root, _ = address(text)
    if root.startswith("http"):
        if isinstance(error, UnreachableError):
            _silent[root] = time.monotonic() + _REST
        return None
    if isinstance(error.__cause__, FileNotFoundError) and not isinstance(error, UnreachableError):
        return None
    if time.monotonic() < _looked.get(root, 0.0):
        return None
    gone = _gone_lately(root) or _closed(root)
    if gone is None:
        _looked[root] = time.monotonic() + _TRUST
    else:
        _gone[root] = time.monotonic(), gone
    return gone


def _closed(root: str) -> UnreachableError | None:
    """Return why nothing of a bucket can be read; None where something can, or it is not known."""
    import obstore
    from obstore.exceptions import BaseError

    key = _was_read.get(root)
    try:
        if key is None:
            _look(root, "")
        else:
            obstore.get_range(client(root, quick=True), key, start=0, end=1)
    except FileNotFoundError as error:
        reason = explain(error, root)
        return reason if isinstance(reason, UnreachableError) else None
    except (BaseError, ValueError) as error:
        reason = explain(error, root)
        if isinstance(reason, UnreachableError):
            return reason
        return UnreachableError(reason.message, reason.hint) if key is not None else None
    return None


def read_start(text: str, size: int) -> bytes:
    """Return the first bytes of an object, or all where it is smaller.

    Raises:
        SourceError: there is none, or it cannot be read.
    """
    import obstore
    from obstore.exceptions import BaseError

    root, key = address(text)
    about = facts(text)
    if about is None or about.size <= size:
        return read(text)
    try:
        return bytes(obstore.get_range(client(root), key, start=0, end=size))
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise explain(error, text) from error


def open_file(text: str) -> BinaryIO:
    """Open an object to be read: a small one is read at once, of a large one what is asked for.

    Raises:
        SourceError: there is none, or it cannot be read.
    """
    import obstore
    from obstore.exceptions import BaseError

    about = facts(text)
    if about is not None and about.size <= _WHOLE:
        return io.BytesIO(read(text))
    root, key = address(text)
    try:
        return io.BufferedReader(_Raw(obstore.open_reader(client(root), key)))
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise explain(error, text) from error


class _Raw(io.RawIOBase):
    """An object as a file that may be read at any place."""

    def __init__(self, reader: ReadableFile) -> None:
        self._reader = reader

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, and return how many bytes were there."""
        view = memoryview(buffer).cast("B")
        data = self._reader.read(len(view))
        view[: len(data)] = memoryview(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._reader.tell()
