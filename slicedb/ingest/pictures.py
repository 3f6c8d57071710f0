"""Find the pictures that an annotation file names: beside it, or anywhere below the folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from slicedb.errors import SourceError
from slicedb.ingest.places import Places, posix
from slicedb.ingest.source import Options
from slicedb.ingest.walk import tree_of
from slicedb.sources import Location, address, is_remote

_PLACES = ("", "images", "data", "..", "../images", "../data")
"""Where images are looked for, from the folder of the file."""
_LOOKED_AT = 32
"""Images of which one has to lie in a folder for it to be theirs."""


class Pictures:
    """The pictures of one annotation file.

    Args:
        file: the annotations.
        root: what is ingested: the file itself, or a folder that holds it.
        options: of the ingest; `images` names the folder that the names start at.
        names: of all pictures, as the file has them.
        spots: folders to look into first, relative to the file's own.
    """

    def __init__(
        self,
        file: Location,
        root: Location,
        options: Options,
        names: Sequence[str],
        spots: Sequence[str] = (),
    ) -> None:
        self._root = root
        self._in_folder = root.is_folder()
        home = Location(file.parent.path)
        self._home = home
        some = [name.replace("\\", "/") for name in names[:_LOOKED_AT] if not is_remote(name)]
        self._base: Location | None = None
        self._is_named = options.images is not None
        if options.images is not None:
            self._base = Location(options.images)
            return
        for spot in [*spots, *_PLACES]:
            folder = home.join(spot)
            if any(folder.join(name.lstrip("/")).is_file() for name in some):
                self._base = folder
                return

    @cached_property
    def _below(self) -> Places | None:
        """The images to search: of the root, or of the file's folder where no name leads to one."""
        if self._in_folder:
            return Places(tree_of(self._root))
        if self._base is not None:
            return None
        try:
            return Places(tree_of(self._home))
        except (OSError, SourceError):  # a web server lists no folder
            return None

    def find(self, name: str) -> tuple[str, str]:
        """Return where a picture lies: its path below the root, and its whole path or address.

        Of a file that is ingested alone, the first is the name as the file has it.
        """
        if is_remote(name):
            return address(name).key or name, self._copied(name) or name
        base = self._base or self._home
        if "\\" in name and not base.join(name).exists():
            name = posix(name)  # as Windows writes paths
        at = base.join(name)
        if not self._in_folder:
            plain = posix(name).lstrip("/")
            place = None if self._below is None else self._below.find(plain)
            return plain, at.path if place is None else self._home.join(place).path
        below = self._below
        place = "/".join(at.parts_below(self._root))
        if below is not None and place not in below.all and (found := below.find(name)):
            return found, f"{self._root.path}/{found}"
        return place, at.path

    def _copied(self, name: str) -> str | None:
        """Return where a picture of a bucket lies in the folder that the caller named."""
        if not self._is_named or self._base is None:
            return None
        parts = address(name).key.split("/")
        spots = (self._base.join(*parts[i:]) for i in range(len(parts)))
        return next((spot.path for spot in spots if spot.is_file()), None)

    def has(self, place: str) -> bool:
        """Return whether a picture lies at a path below the root, which is a folder."""
        return self._below is not None and place in self._below.all
