"""Tell the splits in a path."""

from __future__ import annotations

import re
from collections.abc import Iterable

SPLITS = frozenset(
    "train training val valid validation dev eval evaluation test testing holdout".split()
)
"""Folder names, in lower case, that are a split."""


_NUMBERED = re.compile(
    r"(train|training|val|valid|validation|test|testing|eval)[-_ ]?(\d+|images?|imgs?|set|data)"
)


def names_split(folder: str) -> bool:
    """Return whether a folder is called as a split is, with a number or a word behind or without.

    >>> names_split("Train"), names_split("test_images"), names_split("val2017"), names_split("cat")
    (True, True, True, False)
    """
    name = folder.lower()
    return name in SPLITS or _NUMBERED.fullmatch(name) is not None


def split_in(parts: Iterable[str]) -> str | None:
    """Return the last part that is the name of a split."""
    return next((p for p in reversed(list(parts)) if p.lower() in SPLITS), None)
