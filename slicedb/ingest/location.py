"""Where a source lies: a folder or a file, and what a reader may do there.

Readers take a `Location` and not a path, so that a source need not lie on this machine.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import BinaryIO, Literal, NamedTuple

NOT_UTF8 = "name that is not UTF-8"
"""Why a file is left out of which the id could not be written down."""
Kind = Literal["file", "folder", "other"]


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    kind: Kind
    """Links count as what they lead to; "other" is a socket, a pipe or a link to nowhere."""
    is_link: bool


def is_utf8(name: str) -> bool:
    """Return whether a name of the file system is text.

    >>> is_utf8("café.png"), is_utf8(b"caf\\xe9.png".decode(errors="surrogateescape"))
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Location:
    """A folder or a file of a source.

    >>> Location("photos").join("cats", "1.JPG").suffix
    '.jpg'
    """

    text: str
    """As the user wrote it, for messages."""
    known: dict[str, object] = field(default_factory=dict, compare=False, repr=False)
    """What was read of it already, so that it is not listed once a format."""

    def __str__(self) -> str:
        return self.text

    @property
    def path(self) -> str:
        """The whole path: what is kept in `uri` and `source`."""
        return os.path.abspath(self.text)

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
        return Location(os.path.dirname(self.text) or ".")

    def join(self, *parts: str) -> Location:
        """Return what lies at a path relative to this folder; `..` leads upwards."""
        return Location(os.path.normpath(os.path.join(self.text, *parts)))

    def parts_below(self, root: Location) -> tuple[str, ...]:
        """Return the folders from a root down to here, this one's name included."""
        inside = os.path.relpath(self.path, root.path)
        return () if inside == "." else PurePath(inside).parts

    def exists(self) -> bool:
        """Return whether there is anything here."""
        return os.path.exists(self.text)

    def is_folder(self) -> bool:
        """Return whether this is a folder."""
        return os.path.isdir(self.text)

    def is_file(self) -> bool:
        """Return whether this is a file."""
        return os.path.isfile(self.text)

    def size(self) -> int:
        """Return the bytes of the file."""
        return os.path.getsize(self.text)

    def identity(self) -> object:
        """Return what is equal for two names of one folder, as links make them."""
        about = os.stat(self.text)
        return about.st_dev, about.st_ino

    def list(self) -> Iterator[Entry]:
        """Yield the names in the folder, in no order.

        Raises:
            OSError: it cannot be read.
        """
        with os.scandir(self.text) as entries:
            for entry in entries:
                kind: Kind = "other"
                if entry.is_file():
                    kind = "file"
                elif entry.is_dir():
                    kind = "folder"
                yield Entry(entry.name, kind, entry.is_symlink())

    def open(self) -> BinaryIO:
        """Open the file to be read.

        Raises:
            OSError: it cannot be read, or it is a pipe or a device, which may never end.
        """
        if os.path.exists(self.text) and not os.path.isfile(self.text):
            raise OSError(errno.EINVAL, "Not a regular file", self.text)
        return open(self.text, "rb")

    def read_bytes(self) -> bytes:
        """Return the contents of the file."""
        with self.open() as file:
            return file.read()

    def read_text(self) -> str:
        """Return the contents of the file as text; what is not UTF-8 is marked."""
        return self.read_bytes().decode("utf-8", errors="replace")
