"""List folders of annotations and images: names by ending, folders below, splits in a path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from slicedb import media
from slicedb.ingest.location import Location, is_utf8

SPLITS = frozenset(
    "train training val valid validation dev eval evaluation test testing holdout".split()
)
"""Folder names, in lower case, that are a split."""


def images_in(folder: Location) -> dict[str, str]:
    """Return the images right in a folder: name without extension to name."""
    if not folder.is_folder():
        return {}
    files = sorted(e.name for e in folder.list() if e.kind == "file" and is_utf8(e.name))
    stems = (os.path.splitext(name) for name in files)
    return {stem: stem + end for stem, end in stems if end.lower() in media.EXTENSIONS}


def names_in(folder: Location, *endings: str) -> list[str]:
    """Return the names in a folder that end so, sorted; none where it cannot be read."""
    try:
        names = (entry.name for entry in folder.list() if is_utf8(entry.name))
        return sorted(name for name in names if name.lower().endswith(endings))
    except OSError:
        return []


def folders_below(folder: Location, depth: int = 3) -> Iterator[Location]:
    """Yield a folder and those below it, to a depth, sorted; hidden ones left out."""
    return (inner for inner, _ in names_below(folder, (), depth))


def names_below(
    folder: Location, endings: tuple[str, ...], depth: int = 3
) -> Iterator[tuple[Location, list[str]]]:
    """Yield a folder and those below it, each with the names in it that end so, all sorted.

    Each folder is listed once, since listing a large one takes a while.
    """
    names, folders = [], []
    try:
        for entry in folder.list():
            if not is_utf8(entry.name):
                continue
            if depth and entry.kind == "folder" and entry.name[0] != ".":
                folders.append(entry.name)
            if entry.name.lower().endswith(endings):
                names.append(entry.name)
    except OSError:
        pass
    yield folder, sorted(names)
    for name in sorted(folders):
        yield from names_below(folder.join(name), endings, depth - 1)


def split_in(parts: Iterable[str]) -> str | None:
    """Return the last part that is the name of a split."""
    return next((p for p in reversed(list(parts)) if p.lower() in SPLITS), None)
