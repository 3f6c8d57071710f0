"""What a folder holds: one name, and what it is."""

from __future__ import annotations

from typing import Literal, NamedTuple

NOT_UTF8 = "name that is not UTF-8"
"""Why a file is left out of which the id could not be written down."""
Kind = Literal["file", "folder", "other"]


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    kind: Kind
    """Links count as what they lead to; "other" is a socket, a pipe or a link to nowhere."""
    is_link: bool = False


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
