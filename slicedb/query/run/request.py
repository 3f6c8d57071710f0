"""What one caller asks: bounded together in time and memory, and cancelled together."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self

from slicedb.errors import OptionError, QueryCancelledError
from slicedb.query.run.bounds import Bounds, result_of
from slicedb.query.run.clock import out_of_time

if TYPE_CHECKING:
    from slicedb.query.run.clock import Clock
    from slicedb.query.run.moments import Moment, Moments


class Request:
    """The queries of one caller, who can cancel them without touching those of others.

    Inside `with request:`, all that the thread asks of any database belongs to it: queries, and
    verbs that ask some, such as `db.show`. Another thread may call `cancel`.

    Args:
        timeout: seconds from now until which everything has to be done, waiting for a place
            included; None is no bound of its own.
        memory: what each run may take, such as "1GB" or "25%" of what the database allows.
        client: who asks; those who wait for a place take turns by it.
        seconds: what each run may take, in place of the database's timeout.
        files: False lets no text inside read a file by `image('file')`.
        lag: seconds for which answers may be behind what is written meanwhile; all queries inside
            are then answered from the same versions of all tables.
        patient: whether everybody else goes first.

    Raises:
        OptionError: a bound is no number of seconds, or no size.
    """

    def __init__(
        self,
        *,
        timeout: float | None = None,
        memory: str | None = None,
        client: str = "",
        seconds: float | None = None,
        files: bool = True,
        lag: float = 0.0,
        patient: bool = False,
    ) -> None:
        for name, given in (("timeout", timeout), ("timeout", seconds), ("lag", lag)):
            if given is not None and not given >= 0:
                raise OptionError(f"{name}={given} is no time.", "give seconds, from 0 on.")
        if memory:
            result_of(memory, 0)  # fails where it is no size
        self.until = None if timeout is None else time.monotonic() + timeout
        self.client = client
        self.files = files
        self.patient = patient
        self.lag = lag
        self._moments: dict[Moments, Moment] = {}
        self._timeout, self._memory, self._seconds = timeout, memory, seconds
        self._clocks: set[Clock] = set()
        self._lock = threading.Lock()
        self._is_over = False

    def __enter__(self) -> Self:
        _ASKING.set((*_ASKING.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        asking = list(_ASKING.get())
        asking.reverse()
        asking.remove(self)
        _ASKING.set(tuple(reversed(asking)))

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled as a whole."""
        return self._is_over

    def cancel(self) -> int:
        """Cancel what it asks now and whatever it asks later, from any thread.

        Returns:
            The number of runs that were going on.
        """
        self._is_over = True
        return self.stop()

    def stop(self) -> int:
        """Cancel what it asks now alone; returns the number of runs."""
        with self._lock:
            clocks = list(self._clocks)
        for clock in clocks:
            clock.cancel()
        return len(clocks)

    def moment(self, moments: Moments) -> Moment:
        """Return the moment that its queries of a database are answered from: always the same."""
        if moments not in self._moments:
            self._moments[moments] = moments.latest(self.lag, self.check)
        return self._moments[moments]

    @property
    def behind(self) -> float:
        """Seconds that its answers may be behind what others wrote; 0 where they are not."""
        return max((moment.behind for moment in self._moments.values()), default=0.0)

    def check(self) -> None:
        """Raise where it was cancelled or its time is over, which what is kept would not tell."""
        if self._is_over:
            raise QueryCancelledError("The query was cancelled.")
        if self.until is not None and self._timeout is not None and time.monotonic() >= self.until:
            raise out_of_time(self._timeout, self._timeout)

    def begin(self, clock: Clock) -> None:
        """Note a run, which ends at once where the request was cancelled."""
        with self._lock:
            self._clocks.add(clock)
        if self._is_over:
            clock.cancel()

    def end(self, clock: Clock) -> None:
        """Forget a run."""
        with self._lock:
            self._clocks.discard(clock)

    def within(self, bounds: Bounds) -> Bounds:
        """Return what a run may take that begins now."""
        seconds = bounds.seconds if self._seconds is None else self._seconds or None
        request = bounds.request
        if self.until is not None:
            left = max(self.until - time.monotonic(), 0.0)
            if seconds is None or left < seconds:
                seconds, request = left, self._timeout
        memory = min(bounds.memory, result_of(self._memory, bounds.memory))
        if self._memory is None:
            memory = bounds.memory
        result = min(bounds.result, memory)
        return Bounds(seconds, memory, result, request)


_ASKING: ContextVar[tuple[Request, ...]] = ContextVar("slicedb_asking", default=())
"""The requests inside whose `with` the thread, or the task, is; the outermost first."""


def asking(own: Request | None = None) -> tuple[Request, ...]:
    """Return the requests that a run of this thread belongs to: those around it, and its own."""
    around = _ASKING.get()
    return around if own is None or own in around else (*around, own)
