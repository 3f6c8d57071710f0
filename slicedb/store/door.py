"""The one door that every change of a table goes through, where tests can let it fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

Watch = Callable[[str, str, str], None]
"""Called with "before" or "after", the kind of change, and the name of the table."""

_watch: Watch | None = None


@contextlib.contextmanager
def passing(change: str, table: str) -> Iterator[None]:
    """Tell the watch, if one is set, that a table is about to change and that it has changed."""
    if _watch is not None:
        _watch("before", change, table)
    yield
    if _watch is not None:
        _watch("after", change, table)


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let a function see every change while the block runs; what it raises reaches the caller."""
    global _watch
    before, _watch = _watch, watch
    try:
        yield
    finally:
        _watch = before
