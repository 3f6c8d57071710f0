"""Patterns of names: several files by one text, here or in a bucket.

train-{000..146}.tar     numbers, with as many digits as are written
{train,val}-0.tar        words
train-*.tar              * and ? and [...], as shells have them
"""

from __future__ import annotations

import fnmatch
import re

from slicedb.errors import SourceError
from slicedb.sources.location import Location

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 100_000
"""Names that braces may mean."""


def is_pattern(text: str) -> bool:
    """Return whether a text means several files.

    >>> is_pattern("s3://b/train-{00..12}.tar"), is_pattern("a/*.tar"), is_pattern("a/b.tar")
    (True, True, False)
    """
    return any(mark in text for mark in "{*?[")


def matching(text: str) -> list[Location]:
    """Return the files that a pattern means, those of braces in their order, others by name.

    >>> expanded("x-{08..10}.{a,b}")[:3]
    ['x-08.a', 'x-08.b', 'x-09.a']

    Raises:
        SourceError: a file of the braces is missing, or nothing matches.
    """
    files = []
    for one in expanded(text):
        folder, _, name = one.rpartition("/")
        if not is_pattern(one):
            files.append(Location(one))
            continue
        if is_pattern(folder):
            raise SourceError(
                f"'{text}' has a mark in a folder.", "*, ? and [] may stand in the last part alone."
            )
        home = Location(folder or ".")
        names = [entry.name for entry in home.list() if entry.kind == "file"]
        files += [home.join(found) for found in sorted(fnmatch.filter(names, name))]
    lost = [file for file in files if not file.is_file()]
    if lost:
        raise SourceError(
            f"There is no file '{lost[0]}', one of {len(files):,} that '{text}' means.",
            f"{len(lost):,} of them are missing: correct the numbers.",
        )
    if not files:
        raise SourceError(f"No file matches '{text}'.", "check the pattern; quote it in a shell.")
    return files


def expanded(text: str) -> list[str]:
    """Return the texts that one with braces means.

    Raises:
        SourceError: they are too many.
    """
    found = _BRACES.search(text)
    if found is None:
        return [text]
    numbers = _RANGE.fullmatch(found[1])
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        if abs(last - first) >= _MOST:
            raise SourceError(f"'{text}' means too many files.", f"{_MOST:,} are the most.")
        step = 1 if last >= first else -1
        width = len(numbers[1])
        words = [f"{n:0{width}d}" for n in range(first, last + step, step)]
    else:
        words = found[1].split(",")
    rest = expanded(text[found.end() :])
    if len(words) * len(rest) > _MOST:
        raise SourceError(f"'{text}' means too many files.", f"{_MOST:,} are the most.")
    return [f"{text[: found.start()]}{word}{end}" for word in words for end in rest]
