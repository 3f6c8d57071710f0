"""Tell the splits in a path."""

from __future__ import annotations

from collections.abc import Iterable

SPLITS = frozenset(
    "train training val valid validation dev eval evaluation test testing holdout".split()
)
"""Folder names, in lower case, that are a split."""


def split_in(parts: Iterable[str]) -> str | None:
    """Return the last part that is the name of a split."""
    return next((p for p in reversed(list(parts)) if p.lower() in SPLITS), None)
