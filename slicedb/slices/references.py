"""Find which slices a text uses, and refuse slices that contain each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from slicedb.errors import SliceError

_IN_SLICE = re.compile(r"\bin_slice\s*\(\s*'((?:[^']|'')*)'", re.IGNORECASE)
_NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def references(text: str) -> list[str]:
    """Return the slices that a text names by `in_slice`, each once.

    >>> references("in_slice('a') AND NOT in_slice('b') -- in_slice('c')")
    ['a', 'b']
    """
    return list(dict.fromkeys(_IN_SLICE.findall(_NOT_CODE.sub(" ", text))))


def check_loops(names: Iterable[str], texts: Mapping[str, str]) -> None:
    """Follow names through the texts of all slices.

    Raises:
        SliceError: slices are made of each other; the message shows the ring.
    """
    for name in names:
        _follow(name, texts, ())


def _follow(name: str, texts: Mapping[str, str], path: tuple[str, ...]) -> None:
    if name in path:
        ring = " -> ".join([*path[path.index(name) :], name])
        raise SliceError(f"Slices are made of each other: {ring}.", "break the ring.")
    for other in references(texts.get(name, "")):
        _follow(other, texts, (*path, name))
