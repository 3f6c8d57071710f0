"""Read the demo's lists of words from text: phrases with commas, each list after its name."""

from __future__ import annotations


def phrases(text: str) -> tuple[str, ...]:
    """Return the phrases of a text, separated by commas and line breaks.

    >>> phrases("a cat, a dog")
    ('a cat', 'a dog')
    """
    return tuple(
        phrase for line in text.strip().splitlines() for phrase in line.strip(" ,").split(", ")
    )


def table(text: str) -> dict[str, tuple[str, ...]]:
    """Return the phrases of each name; a line without a name continues the one before.

    >>> table("day: by day, daylight")
    {'day': ('by day', 'daylight')}
    """
    rows: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in text.strip().splitlines():
        head, colon, words = line.strip().partition(": ")
        name = head if colon else name
        rows[name] = rows.get(name, ()) + phrases(words if colon else head)
    return rows
