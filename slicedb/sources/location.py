"""Where a source lies: a folder or a file, here or in a bucket, and what a reader may do there.

Readers take a `Location` and not a path, so that a source need not lie on this machine.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import BinaryIO

from slicedb.sources import local, remote
from slicedb.sources.address import is_remote
from slicedb.sources.entry import Entry, Kind


@dataclass(frozen=True)
class Location:
    """A folder or a file of a source.

    >>> Location("photos").join("cats", "1.JPG").suffix
    '.jpg'
    """

    text: str
    """As the user wrote it, for messages: a path, or an address such as s3://photos/2024."""
    known: dict[str, object] = field(default_factory=dict, compare=False, repr=False)
    """What was read of it already, so that it is not listed once a format."""

    def __str__(self) -> str:
        return self.text

    @property
    def is_remote(self) -> bool:
        """Whether it lies in a bucket or on a web server."""
        return is_remote(self.text)

    @property
    def path(self) -> str:
        """The whole path or address: what is kept in `uri` and `source`."""
        return self.text.rstrip("/") if self.is_remote else os.path.abspath(self.text)

    @property
    def name(self) -> str:
        """The last part."""
        return PurePath(self.text).name or PurePath(self.path).name

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return PurePath(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending in lower case, with its dot."""
        return PurePath(self.name).suffix.lower()

    @property
    def parent(self) -> Location:
        """The folder it lies in."""
        if self.is_remote:
            return self.join("..")
        return Location(os.path.dirname(self.text) or ".")

    def join(self, *parts: str) -> Location:
        """Return what lies at a path relative to this folder; `..` leads upwards."""
        if not self.is_remote:
            return Location(os.path.normpath(os.path.join(self.text, *parts)))
        root, _, inside = self.text.partition("://")
        bucket, _, key = inside.partition("/")
        whole = posixpath.normpath(posixpath.join("/", key, *parts)).strip("/")
        return Location(f"{root}://{bucket}/{whole}" if whole else f"{root}://{bucket}")

    def parts_below(self, root: Location) -> tuple[str, ...]:
        """Return the folders from a root down to here, this one's name included."""
        if self.is_remote:
            inside = posixpath.relpath(f"/{self.path}", f"/{root.path}")
        else:
            inside = os.path.relpath(self.path, root.path)
        return () if inside == "." else PurePath(inside).parts

    @property
    def kind(self) -> Kind | None:
        """What lies here; None where nothing does."""
        return remote.kind(self.text) if self.is_remote else local.kind(self.text)

    def exists(self) -> bool:
        """Return whether there is anything here."""
        return self.kind is not None

    def is_folder(self) -> bool:
        """Return whether this is a folder."""
        return self.kind == "folder"

    def is_file(self) -> bool:
        """Return whether this is a file."""
        return self.kind == "file"

    def size(self) -> int:
        """Return the bytes of the file.

        Raises:
            OSError: there is none.
        """
        if not self.is_remote:
            return os.path.getsize(self.text)
        about = remote.facts(self.text)
        if about is None:
            raise FileNotFoundError(f"There is nothing at '{self.text}'.")
        return about.size

    def identity(self) -> object:
        """Return what is equal for two names of one folder, as links make them."""
        return self.path if self.is_remote else local.identity(self.text)

    def list(self) -> Iterator[Entry]:
        """Yield the names in the folder, in no order.

        Raises:
            OSError: it cannot be read.
            SourceError: its bucket cannot be reached.
        """
        return remote.entries(self.text) if self.is_remote else local.entries(self.text)

    def open(self) -> BinaryIO:
        """Open the file to be read.

        Raises:
            OSError: it cannot be read, or it is a pipe or a device, which may never end.
            SourceError: its bucket cannot be reached.
        """
        return remote.open_file(self.text) if self.is_remote else local.open_file(self.text)

    def read_bytes(self) -> bytes:
        """Return the contents of the file."""
        with self.open() as file:
            return file.read()

    def read_text(self) -> str:
        """Return the contents of the file as text; what is not UTF-8 is marked."""
        return self.read_bytes().decode("utf-8", errors="replace")
