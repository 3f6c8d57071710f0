"""Find the images that a list or an annotation names, wherever they lie below a folder."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from functools import cached_property

from slicedb import media
from slicedb.ingest.walk import Tree


def posix(name: str) -> str:
    r"""Return a path with forward slashes and nothing superfluous.

    >>> posix(r".\images\a.jpg"), posix("a//b/../c.jpg")
    ('images/a.jpg', 'a/c.jpg')
    """
    return posixpath.normpath(name.strip().replace("\\", "/"))


def without_ending(name: str) -> str:
    """Return a name without the ending of an image.

    >>> without_ending("a.JPG"), without_ending("v1.2")
    ('a', 'v1.2')
    """
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in media.EXTENSIONS else name


class Places:
    """The images below a folder, by the ends of their paths.

    Args:
        tree: of the folder.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @cached_property
    def all(self) -> frozenset[str]:
        """Every image, by its path below the root."""
        folders = self._tree.folders.values()
        return frozenset(folder.place + name for folder in folders for name in folder.images)

    @cached_property
    def _by_name(self) -> Mapping[str, list[str]]:
        by_name: dict[str, list[str]] = {}
        for place in sorted(self.all):
            last = place.rsplit("/", 1)[-1]
            for key in dict.fromkeys((last, without_ending(last))):
                by_name.setdefault(key, []).append(place)
        return by_name

    def find(self, name: str) -> str | None:
        """Return the place of the image that a name means; None where none or several may be.

        It is the image whose path has the most last parts in common with the name; one without
        an ending means an image of any ending.
        """
        if name in self.all:
            return name
        wanted = posix(name).split("/")
        best: list[str] = []
        longest = 0
        for place in self._by_name.get(wanted[-1], []):
            n = _in_common(wanted[:-1], place.split("/")[:-1])
            if n >= longest:
                best = [place] if n > longest or not best else [*best, place]
                longest = n
        return best[0] if len(best) == 1 else None


def _in_common(one: list[str], other: list[str]) -> int:
    """Return how many last parts two paths have in common."""
    n = 0
    for a, b in zip(reversed(one), reversed(other)):
        if a != b:
            break
        n += 1
    return n
