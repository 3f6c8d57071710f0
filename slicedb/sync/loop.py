"""Run a job again and again: with jitter, more slowly while it fails, until told to end."""

from __future__ import annotations

import random
import re
import signal
import threading
from collections.abc import Callable
from types import FrameType

from slicedb.errors import CancelledError, OptionError, SliceDBError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_JITTER = 0.1
"""Share of the pause by which it may be shorter or longer, so that many do not ask at once."""
_MOST = 16
"""Times the pause that are waited after failures, at most."""


def interval(text: str | float) -> float:
    """Return seconds.

    >>> interval("5m"), interval("1.5h"), interval(30)
    (300.0, 5400.0, 30.0)

    Raises:
        OptionError: it is no time, or none that passes.
    """
    if isinstance(text, int | float):
        seconds = float(text)
    else:
        match = re.fullmatch(r"\s*([0-9.]+)\s*([smhd])\s*", text)
        try:
            seconds = float(match[1]) * _UNITS[match[2]] if match else float(text)
        except ValueError:
            seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise OptionError(f"'{text}' is no time between two syncs.", "write 30s, 5m, 1h or 1d.")
    return seconds


class Loop:
    """Turns of one job, with pauses between.

    Args:
        every: seconds between two turns.
        job: one turn. An error of ours is told, and the next pause is twice as long.
        tell: takes an error's text.
        stop: ends the loop when it is set; the turn that runs is finished first.
    """

    def __init__(
        self,
        every: float,
        job: Callable[[], object],
        tell: Callable[[str], object],
        stop: threading.Event | None = None,
    ) -> None:
        self._every, self._job, self._tell = every, job, tell
        self.stop = stop or threading.Event()
        self.failures = 0
        """Turns in a row that failed."""

    def pause(self, chance: float) -> float:
        """Return the seconds until the next turn.

        Args:
            chance: in [0, 1).

        >>> loop = Loop(100.0, print, print)
        >>> loop.pause(0.5), loop.pause(0.0)
        (100.0, 90.0)
        """
        factor = min(2.0**self.failures, _MOST)
        return self._every * factor * (1 + _JITTER * (2 * chance - 1))

    def run(self) -> None:
        """Take turns until `stop` is set, or SIGTERM comes."""
        before = self._on_sigterm()
        try:
            while not self.stop.is_set():
                try:
                    self._job()
                    self.failures = 0
                except CancelledError:  # by whoever watches: not this turn, the loop is meant
                    raise
                except SliceDBError as error:
                    self.failures += 1
                    self._tell(str(error))
                self.stop.wait(self.pause(random.random()))
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    def _on_sigterm(self) -> Callable[[int, FrameType | None], object] | int | None:
        """End the loop on SIGTERM; only the main thread may ask for that."""
        if threading.current_thread() is not threading.main_thread():
            return None
        return signal.signal(signal.SIGTERM, lambda *_: self.stop.set()) or signal.SIG_DFL
