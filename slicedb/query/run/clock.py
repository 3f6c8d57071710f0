"""Limit the time that one run may take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from slicedb.errors import QueryTimeoutError


@dataclass
class Clock:
    """Counts from the start of a run.

    Args:
        limit: seconds; None is no limit.
    """

    limit: float | None
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float | None:
        """Seconds left; None is no limit."""
        return None if self.limit is None else self.limit - (time.monotonic() - self.started)

    def check(self) -> None:
        """Raise when the time is used up."""
        left = self.left
        if left is not None and left <= 0:
            raise out_of_time(self.limit)


def out_of_time(limit: float | None) -> QueryTimeoutError:
    """Return the error of a query that took too long."""
    shown = "" if limit is None else f" of {limit:.3g} s"
    return QueryTimeoutError(
        f"The query used up its time{shown}.",
        "narrow it, or give it more: slicedb.open(timeout=), or SLICEDB_TIMEOUT in seconds.",
    )
