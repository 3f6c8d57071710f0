"""Limit the time that one run may take."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
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


@contextlib.contextmanager
def alarm(seconds: float | None, ring: Callable[[], None]) -> Iterator[None]:
    """Call a function from another thread if the block takes longer; None is no limit."""
    if seconds is None:
        yield
        return
    number = _watch.add(time.monotonic() + max(seconds, 0.001), ring)
    try:
        yield
    finally:
        _watch.remove(number)


class _Watch:
    """One thread that waits for all alarms: one for each would take longer than most queries."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._numbers = itertools.count()
        self._times: list[tuple[float, int]] = []
        self._rings: dict[int, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None

    def add(self, at: float, ring: Callable[[], None]) -> int:
        """Let an alarm ring at a moment; returns its number."""
        with self._condition:
            number = next(self._numbers)
            self._rings[number] = ring
            is_first = not self._times or at < self._times[0][0]
            heapq.heappush(self._times, (at, number))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._wait, name="alarms", daemon=True)
                self._thread.start()
            elif is_first:
                self._condition.notify()
            return number

    def remove(self, number: int) -> None:
        """Let an alarm not ring."""
        with self._condition:
            self._rings.pop(number, None)
            # What is left of them is taken out now and then: most are removed long before.
            if len(self._times) > 64 + 2 * len(self._rings):
                self._times = [entry for entry in self._times if entry[1] in self._rings]
                heapq.heapify(self._times)

    def _wait(self) -> None:
        while True:
            with self._condition:
                while not self._times or self._times[0][0] > time.monotonic():
                    left = self._times[0][0] - time.monotonic() if self._times else None
                    self._condition.wait(left)
                ring = self._rings.pop(heapq.heappop(self._times)[1], None)
            if ring is not None:
                with contextlib.suppress(Exception):  # of a query that has ended meanwhile
                    ring()


_watch = _Watch()
