"""Show the progress of long work, tell it to a function, and stop the work from elsewhere.

Long verbs take `progress=`: what watches them, see `Watch`. Bars go to stderr; silence is a null
object with the same methods.

    cancel = Cancel(lambda progress: print(progress))     # any of the other forms may stand inside
    threading.Thread(target=db.embed, kwargs={"progress": cancel}).start()
    cancel.cancel()                                       # embed raises a CancelledError
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

from slicedb.errors import CancelledError
from slicedb.show import numbers, text

_CELLS = 24
"""Cells of the bar itself."""
_PAUSE, _PAUSE_OF_LOG = 0.1, 30.0
"""Seconds between two drawings on a terminal or two calls, and between two lines of a file."""


@dataclass(frozen=True)
class Progress:
    """How far one stage of long work has come."""

    stage: str
    """What is being done, such as "embed default"; a verb may have several stages."""
    done: int
    """Units that are done."""
    total: int | None
    """Units in all; None while nobody knows."""
    unit: str
    """What is counted, such as "sample"."""
    seconds: float
    """Since the stage began."""
    note: str = ""
    """A sentence that matters, which comes by itself."""

    @property
    def share(self) -> float | None:
        """What is done as a part of all, from 0 to 1; None while nobody knows."""
        return None if self.total is None else min(1.0, self.done / self.total if self.total else 1)

    def __str__(self) -> str:
        return self.note or line(self.stage, self.done, self.total, self.seconds)


class Cancel:
    """Stops long work from another thread; given as `progress=` of one call or of several.

    Args:
        watch: what the work shows meanwhile, as `progress=` would.
    """

    def __init__(self, watch: bool | Callable[[Progress], object] | None = None) -> None:
        self.watch = watch
        self._event = threading.Event()

    def cancel(self) -> None:
        """Stop all work that was given this object, at its next step."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()


Watch: TypeAlias = "bool | Callable[[Progress], object] | Cancel | None"
"""What watches long work: True draws a bar on stderr, False is silent, None draws where stderr is
a terminal. A function is told the `Progress` about ten times a second, never twice at once, in
whatever thread works; by returning False it stops the work. A `Cancel` stops it from elsewhere.
Whoever stops it gets a `CancelledError` from the verb: what was finished is kept, and the same call
goes on from there."""


class Bar:
    """The silent progress bar, and the interface of the others."""

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
        """Count `n` more units as done.

        Raises:
            CancelledError: somebody has stopped the work.
        """

    def total(self, n: int) -> None:
        """Set how many units there are in all, once that is known."""


SILENT = Bar()
"""Of work that nobody watches."""


class _CountedBar(Bar):
    """Counts units, which several threads may do, and shows them now and then."""

    def __init__(self, total: int | None, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._shown = self._started
        self._pause = _PAUSE
        self._lock = threading.Lock()

    def __enter__(self) -> Bar:
        self._show(now=True)
        return self

    def advance(self, n: int = 1) -> None:
        with self._lock:
            self._done += n
        self._show()

    def total(self, n: int) -> None:
        self._total = n
        self._show(now=True)

    def _show(self, now: bool = False) -> None:
        with self._lock:
            clock = time.monotonic()
            if not now and clock - self._shown < self._pause:
                return
            self._shown = clock
            self._write(self._progress())

    def _progress(self) -> Progress:
        passed = time.monotonic() - self._started
        return Progress(self._title, self._done, self._total, self._unit, passed)

    def _write(self, progress: Progress) -> None:
        raise NotImplementedError


class _VisibleBar(_CountedBar):
    """One line that is drawn again in place."""

    def __init__(self, total: int | None, title: str, unit: str) -> None:
        super().__init__(total, title, unit)
        self._is_terminal = sys.stderr.isatty()
        self._pause = _PAUSE if self._is_terminal else _PAUSE_OF_LOG

    def __enter__(self) -> Bar:
        self._show(now=self._is_terminal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show(now=True)
        if self._is_terminal:
            sys.stderr.write("\n")
            sys.stderr.flush()

    def total(self, n: int) -> None:
        self._total = n
        self._show(now=self._is_terminal)

    def _write(self, progress: Progress) -> None:
        shown = text.cut(str(progress), 79)
        # Back to the start of the line, the new text, and the rest of the old one erased.
        sys.stderr.write(f"\r{shown}\x1b[K" if self._is_terminal else f"{shown}\n")
        sys.stderr.flush()


class _ToldBar(_CountedBar):
    """Tells a function, which stops the work by returning False.

    The function is called while the lock is held, so that threads that count at the same time
    never call it twice at once. Each of them gets the error, not only the one that called.
    """

    def __init__(
        self, total: int | None, title: str, unit: str, keeps: bool, tell: Callable[..., object]
    ) -> None:
        super().__init__(total, title, unit)
        self._tell, self._keeps = tell, keeps
        self._is_stopped = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:  # all is done: it is too late to stop this stage
            with self._lock:
                self._write(self._progress())

    def _show(self, now: bool = False) -> None:
        super()._show(now)
        if self._is_stopped:
            raise cancelled(self._progress(), self._keeps)

    def _write(self, progress: Progress) -> None:
        try:
            self._is_stopped = self._tell(progress) is False
        except CancelledError:
            self._is_stopped = True


class _StoppableBar(_CountedBar):
    """Asks a `Cancel` at every step, and shows what another bar shows."""

    def __init__(
        self, total: int | None, title: str, unit: str, keeps: bool, cancel: Cancel, inner: Bar
    ) -> None:
        super().__init__(total, title, unit)
        self._keeps, self._cancel, self._inner = keeps, cancel, inner

    def __enter__(self) -> Bar:
        self._check()
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    def advance(self, n: int = 1) -> None:
        with self._lock:
            self._done += n
        self._inner.advance(n)
        self._check()

    def total(self, n: int) -> None:
        self._total = n
        self._inner.total(n)

    def _check(self) -> None:
        if self._cancel.is_cancelled:
            raise cancelled(self._progress(), self._keeps)


def cancelled(progress: Progress, keeps: bool = True) -> CancelledError:
    """Return the error of work that was stopped, with what was kept of it.

    >>> print(cancelled(Progress("embed default", 50, 200, "sample", 1.0)))
    embed default was cancelled after 50 of 200 samples. Hint: what was finished is kept, and the \
same call goes on from there.
    """
    total = f"{progress.done:,} of " if progress.total is not None else ""
    n = progress.done if progress.total is None else progress.total
    error = CancelledError(
        f"{progress.stage} was cancelled after {total}{numbers.count(n, progress.unit)}.",
        "what was finished is kept, and the same call goes on from there."
        if keeps
        else "nothing of this stage is kept; the same call begins it anew.",
    )
    error.progress = progress
    return error


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


def note(text: str, show: Watch = None) -> None:
    """Say a sentence that matters before work begins; `show=False` is silent."""
    show = show.watch if isinstance(show, Cancel) else show
    if callable(show):
        show(Progress("note", 0, None, "", 0.0, text))
    elif show is not False:
        print(f"Note: {text}", file=sys.stderr)


def bar(
    total: int | None,
    text: str,
    show: Watch = None,
    *,
    unit: str = "sample",
    keeps: bool = True,
) -> Bar:
    """Open a progress bar.

    Args:
        total: number of units, or None when it is not known yet.
        text: what is being done, for example "embed".
        show: who looks on, see `Watch`.
        unit: what is counted, in the singular.
        keeps: whether what is finished stays when the work is stopped.
    """
    if isinstance(show, Cancel):
        inner = bar(total, text, show.watch, unit=unit, keeps=keeps)
        return _StoppableBar(total, text, unit, keeps, show, inner)
    if callable(show):
        return _ToldBar(total, text, unit, keeps, show)
    is_visible = sys.stderr.isatty() if show is None else show
    return _VisibleBar(total, text, unit) if is_visible else Bar()
