"""Hear Ctrl-C while the main thread waits for DuckDB.

Python runs the handler of a signal in the main thread, and only between two of its own
instructions; DuckDB looks for one now and then, but not while its other threads do the work. Python
also writes every signal to a file at once, where another thread can see it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


class CtrlC:
    """The file to which signals are written while the main thread listens."""

    def __init__(self) -> None:
        self._pipe: tuple[int, int, int] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen during a block of the main thread; in other threads it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        _, end = self._ends()
        self.heard()  # what was pressed when the last run had just ended is not for this one
        before = signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)

    def heard(self) -> bool:
        """Return whether Ctrl-C was pressed since the last time somebody asked."""
        begin, _ = self._ends()
        try:
            return signal.SIGINT in os.read(begin, 512)
        except BlockingIOError:
            return False

    def _ends(self) -> tuple[int, int]:
        """Return both ends of the pipe of this process; a forked one makes its own."""
        if self._pipe is None or self._pipe[0] != os.getpid():
            begin, end = os.pipe()
            os.set_blocking(begin, False)
            os.set_blocking(end, False)
            self._pipe = (os.getpid(), begin, end)
        return self._pipe[1:]
