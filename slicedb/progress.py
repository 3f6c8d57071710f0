"""Show the progress of long work on stderr; silence is a null object with the same methods."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from slicedb.show import numbers, text

_CELLS = 24
"""Cells of the bar itself."""
_PAUSE, _PAUSE_OF_LOG = 0.1, 30.0
"""Seconds between two drawings on a terminal, and between two lines of a file."""


class Bar:
    """The silent progress bar, and the interface of the visible one."""

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done."""

    def total(self, n: int) -> None:
        """Set how many units there are in all, once that is known."""


class _VisibleBar(Bar):
    """One line that is drawn again in place; units may be counted by several threads."""

    def __init__(self, total: int | None, title: str) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._drawn = self._started
        self._is_terminal = sys.stderr.isatty()
        self._lock = threading.Lock()

    def __enter__(self) -> Bar:
        self._draw(now=self._is_terminal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw(now=True)
        if self._is_terminal:
            sys.stderr.write("\n")
            sys.stderr.flush()

    def advance(self, n: int = 1) -> None:
        with self._lock:
            self._done += n
        self._draw()

    def total(self, n: int) -> None:
        self._total = n
        self._draw(now=self._is_terminal)

    def _draw(self, now: bool = False) -> None:
        with self._lock:
            clock = time.monotonic()
            pause = _PAUSE if self._is_terminal else _PAUSE_OF_LOG
            if not now and clock - self._drawn < pause:
                return
            self._drawn = clock
            shown = text.cut(line(self._title, self._done, self._total, clock - self._started), 79)
            # Back to the start of the line, the new text, and the rest of the old one erased.
            sys.stderr.write(f"\r{shown}\x1b[K" if self._is_terminal else f"{shown}\n")
            sys.stderr.flush()


def line(title: str, done: int, total: int | None, seconds: float) -> str:
    """Return the text of a bar: what is done, of how much, and the time passed and left.

    >>> line("embed", 50, 200, 10.0)
    'embed ━━━━━━                   50/200  10.0 s, 30.0 s left'
    >>> line("ingest", 50, None, 10.0)
    'ingest 50  10.0 s'
    """
    passed = numbers.duration(seconds)
    if total is None:
        return f"{title} {done:,}  {passed}"
    filled = "━" * (_CELLS * min(done, total) // total if total else _CELLS)
    left = numbers.duration(seconds / done * (total - done)) if 0 < done < total else ""
    rest = f", {left} left" if left else ""
    return f"{title} {text.pad(filled, _CELLS)} {done:,}/{total:,}  {passed}{rest}"


def note(text: str, show: bool | None = None) -> None:
    """Write a sentence to stderr that matters before work begins; `show=False` is silent."""
    if show is not False:
        print(f"Note: {text}", file=sys.stderr)


def bar(total: int | None, text: str, show: bool | None = None) -> Bar:
    """Open a progress bar on stderr.

    Args:
        total: number of units, or None when it is not known yet.
        text: what is being done, for example "embed".
        show: True draws, False is silent, None draws when stderr is a terminal.
    """
    visible = sys.stderr.isatty() if show is None else show
    return _VisibleBar(total, text) if visible else Bar()
