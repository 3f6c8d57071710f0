"""Do what can wait a moment after the work that causes it, and at the latest when Python ends."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable

_QUIET = 1.0
"""Seconds without a further note after which it is done."""

_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


class Keeper:
    """Calls a method once, some time after it was asked to.

    Args:
        work: a method, whose object may go away meanwhile; it is told whether Python ends, and
            returns whether something is left to do later.
    """

    def __init__(self, work: Callable[[bool], bool]) -> None:
        self._work = weakref.WeakMethod(work)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._is_due = False
        _keepers.add(self)

    def note(self, seconds: float = _QUIET) -> None:
        """Ask for the work; another note puts it off."""
        self._is_due = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self.run)
        self._timer.daemon = True
        self._timer.start()

    def run(self, is_end: bool = False) -> None:
        """Do the work now, if it was asked for."""
        with self._lock:
            work = self._work()
            if not self._is_due or work is None:
                return
            self._is_due = False
            is_left = work(is_end)
        if is_left and not is_end:
            self.note(10 * _QUIET)


@atexit.register
def _finish() -> None:
    for keeper in list(_keepers):
        keeper.run(is_end=True)
