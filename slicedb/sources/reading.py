"""Read pictures by their address, wherever they lie, and tell which have changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from slicedb.errors import SourceError
from slicedb.sources import local, remote
from slicedb.sources.address import is_remote

_A = TypeVar("_A")
_B = TypeVar("_B")

_READERS = 32
"""Requests that wait for an answer at once: a bucket answers slowly, and to many."""
_TO_LIST = 256
"""Objects of one folder from which on the folder is listed and they are not asked for singly."""


def read(uri: str, size: int = 0) -> bytes:
    """Return the bytes behind a path or an address.

    Args:
        uri: a path, or an address such as `file://`, `s3://` or `https://`.
        size: bytes it is believed to have; of a file, another size takes a little longer.

    Raises:
        OSError: a file that cannot be read, or is no regular one.
        SourceError: an object that cannot be read.
    """
    return remote.read(uri) if is_remote(uri) else local.read_regular(local.path_of(uri), size)


def fetch(uris: Iterable[str]) -> dict[str, bytes | SourceError]:
    """Return the bytes behind addresses of objects, or why there are none; many at once.

    Raises:
        UnreachableError: a bucket is gone, so that none of its objects can be read.
    """
    different = list(dict.fromkeys(uris))
    return dict(zip(different, _at_once(_fetched, different)))


def fetch_starts(uris: Sequence[str], size: int) -> list[bytes]:
    """Return the first bytes of objects, many at once; empty where they cannot be read.

    Raises:
        UnreachableError: a bucket is gone, so that none of its objects can be read.
    """
    return _at_once(lambda uri: _start(uri, size), uris)


def _start(uri: str, size: int) -> bytes:
    try:
        return remote.read_start(uri, size)
    except SourceError as error:
        if gone := remote.ends_run(uri, error):
            raise gone from error
        return b""


def _fetched(uri: str) -> bytes | SourceError:
    try:
        return remote.read(uri)
    except SourceError as error:
        if gone := remote.ends_run(uri, error):
            raise gone from error
        return error


def read_or_empty(uris: Sequence[str | None]) -> list[bytes]:
    """Return the bytes behind paths or addresses, empty where they cannot be read.

    Objects are read many at once.

    Raises:
        UnreachableError: a bucket is gone, so that none of its objects can be read.
    """
    far = fetch(uri for uri in uris if uri and is_remote(uri))
    found = (far[uri] if uri in far else _quietly(uri) for uri in uris)
    return [data if isinstance(data, bytes) else b"" for data in found]


def _quietly(uri: str | None) -> bytes:
    try:
        return local.read_regular(local.path_of(uri)) if uri else b""
    except OSError:
        return b""


def _at_once(ask: Callable[[_A], _B], about: Sequence[_A]) -> list[_B]:
    """Return the answers to many requests, in their order."""
    if not about:
        return []
    with ThreadPoolExecutor(min(_READERS, len(about)), "slicedb-read") as pool:
        return list(pool.map(ask, about))


def versions(uris: Sequence[str | None], *, lenient: bool = False) -> tuple[np.ndarray, list[str]]:
    """Return the size and the version of objects in buckets, without reading them.

    A folder of several of them is listed once; `remote.forget` has it listed anew. What may not be
    looked at counts as not there: reading it says why.

    Args:
        uris: the addresses.
        lenient: whether objects of a bucket that is gone count as not there too.

    Returns:
        sizes: int64 (n,): bytes; -1 where there is no object, or no address of one.
        etags: n texts; "" where the store says nothing.

    Raises:
        UnreachableError: a bucket is gone.
    """
    sizes, etags = np.full(len(uris), -1, np.int64), [""] * len(uris)
    folders: dict[str, list[int]] = {}
    for i, uri in enumerate(uris):
        if uri is not None and is_remote(uri):
            folders.setdefault(uri.rpartition("/")[0], []).append(i)
    gone: set[str] = set()  # roots, so that not every object of one is asked for
    for folder, rows in folders.items():
        with contextlib.suppress(SourceError):
            if len(rows) >= _TO_LIST and not folder.startswith("http"):
                remote.listed(folder)

    def ask(one: tuple[int, str]) -> remote.Facts | None:
        return _facts(one[1], gone, lenient)

    asked = [(i, str(uris[i])) for rows in folders.values() for i in rows]
    for (i, _), about in zip(asked, _at_once(ask, asked)):
        if about is not None:
            sizes[i], etags[i] = about.size, about.etag
    return sizes, etags


def _facts(uri: str, gone: set[str], lenient: bool) -> remote.Facts | None:
    root = uri[: uri.find("/", uri.find("://") + 3)]
    try:
        return None if root in gone else remote.facts(uri)
    except SourceError as error:
        lost = remote.ends_run(uri, error)
        if lost is not None and not lenient:
            raise lost from error
        if lost is not None or root.startswith("http"):
            gone.add(root)
        return None
