"""Bound one run of a query: its time, its memory, and whether somebody cancels it.

DuckDB looks at its own limits only between pieces of work, and knows nothing of what Python and
Arrow allocate. One thread of the process therefore watches every run, and interrupts the ones that
are over a bound.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from slicedb.errors import (
    QueryCancelledError,
    QueryError,
    QueryMemoryError,
    QueryResultError,
    QueryTimeoutError,
)
from slicedb.query.run.bounds import Bounds
from slicedb.query.run.ctrl_c import CtrlC
from slicedb.query.run.wall import Wall
from slicedb.show.numbers import size

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

_TICK, _IDLE = 0.01, 100
"""Seconds between two looks at the runs, and looks at none before the thread goes to sleep."""
_BEYOND = 20
"""Part of its memory by which a run may be over it before the process may grow no further."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Clock:
    """Counts from the start of a run.

    Args:
        bounds: what the run may take.
        text: what runs.
        most: bytes up to which the process may grow; None adds the bound to what it has now.
    """

    def __init__(self, bounds: Bounds, text: str = "", most: int | None = None) -> None:
        self.bounds = bounds
        self.text = text
        self._most = allocated() + bounds.memory if most is None else most
        self._started = time.monotonic()
        self._over: QueryError | None = None
        self._in_main = False
        self.is_interrupted = False

    @property
    def over(self) -> QueryError | None:
        """The error of a run that is over a bound, or was cancelled; None of one that may go on."""
        return self._over

    def cancel(self) -> None:
        """Let the run end as soon as it can."""
        self._over = self._over or QueryCancelledError("The query was cancelled.")

    def look(self, memory: int) -> bool:
        """Return whether the run has to end.

        Args:
            memory: bytes that the process has allocated now.
        """
        limit = self.bounds.seconds
        if self._over is None and limit is not None and time.monotonic() - self._started > limit:
            self._over = out_of_time(limit, self.bounds.request)
        if self._over is None and memory > self._most and not _WATCH.blames_another(self, memory):
            self._over = out_of_memory(self.bounds.memory)
        return self._over is not None

    def is_older(self, other: Clock, memory: int) -> bool:
        """Return whether the run began before another one, and is over its memory too."""
        return self is not other and self._started < other._started and memory > self._most

    def is_beyond(self, memory: int) -> bool:
        """Return whether the run goes on growing although it was told to end."""
        return self._over is not None and memory > self._most + self.bounds.memory // _BEYOND

    def check(self) -> None:
        """Raise when the run has to end; long work in Python calls it between its pieces."""
        if self.look(allocated()):
            assert self._over is not None
            raise self._over

    def wait(self) -> None:
        """Raise when the run has to end before it has begun; what others allocate is not its."""
        if self.look(0):
            assert self._over is not None
            raise self._over

    def begin(self, most: int) -> None:
        """Note the bytes up to which the process may grow, once the run has waited for its turn."""
        self._most = most

    def admit(self, table: pa.Table) -> pa.Table:
        """Return a result that is not too large.

        Raises:
            QueryResultError: it is.
        """
        if table.nbytes > self.bounds.result:
            raise QueryResultError(
                f"The result takes {size(table.nbytes)}, and may take {size(self.bounds.result)}.",
                "take less (LIMIT, fewer columns, a range of the query), or allow more: "
                "slicedb.open(result='4GB'), or SLICEDB_RESULT=4GB.",
            )
        return table

    @contextlib.contextmanager
    def asking(self, cursor: DuckDBPyConnection) -> Iterator[None]:
        """Interrupt what a cursor runs once the run has to end, or at Ctrl-C in the main thread."""
        self.check()
        self._in_main = threading.current_thread() is threading.main_thread()
        with _CTRL_C.listening():
            _WATCH.add(self, cursor)
            try:
                yield
            finally:
                _WATCH.remove(self)

    def look_for(self, is_ctrl_c: bool) -> bool:
        """Note whether Ctrl-C has ended the run, and return it."""
        self.is_interrupted = self.is_interrupted or (is_ctrl_c and self._in_main)
        return self.is_interrupted


class _Watch:
    """The thread that looks at the runs; it sleeps while there are none."""

    def __init__(self) -> None:
        self._wall = Wall()
        self.reset()

    def reset(self) -> None:
        """Begin anew: in a process that was forked, locks may be held for ever."""
        self._asking: dict[Clock, DuckDBPyConnection] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_asleep = False
        self._wall.take_down()  # a forked process has the limit too

    def add(self, clock: Clock, cursor: DuckDBPyConnection) -> None:
        with self._changed:
            self._asking[clock] = cursor
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="slicedb-watch", daemon=True)
                self._thread.start()
            elif self._is_asleep:
                self._changed.notify()

    def blames_another(self, clock: Clock, memory: int) -> bool:
        """Return whether a run that began before it is what takes the memory of the process.

        Nobody knows which of several runs allocates. One that takes gigabytes takes long, so the
        one that has run longest ends first, and the others only where that did not help.
        """
        return any(other.is_older(clock, memory) for other in list(self._asking))

    def remove(self, clock: Clock) -> None:
        with self._changed:
            self._asking.pop(clock, None)
            self._wall.take_down()  # where another run is over its memory, it comes back

    def _run(self) -> None:
        idle = 0
        while True:
            with self._changed:
                idle = 0 if self._asking else idle + 1
                # Not at once: to wake the thread costs more than most queries take.
                self._is_asleep = idle > _IDLE
                if self._is_asleep:
                    self._changed.wait()
                memory = allocated() if self._asking else 0
                is_ctrl_c = bool(self._asking) and _CTRL_C.heard()
                # Under the lock: a cursor is interrupted for no run but its own.
                for clock, cursor in self._asking.items():
                    if clock.look(memory) or clock.look_for(is_ctrl_c):
                        cursor.interrupt()
                    if clock.is_beyond(memory):
                        self._wall.build(_statm(), _PAGE)
            time.sleep(_TICK)


_CTRL_C = CtrlC()
_WATCH = _Watch()
if hasattr(os, "register_at_fork"):
    # The lock may have been held by a thread that the child does not have.
    os.register_at_fork(after_in_child=_WATCH.reset)


def allocated() -> int:
    """Return the bytes that the process has allocated; 0 where the system does not say.

    Files that are mapped, such as the matrices of embeddings, do not count.
    """
    try:
        _, resident, shared, *_ = _statm().split()
    except ValueError:
        return 0
    return (int(resident) - int(shared)) * _PAGE


def _statm() -> bytes:
    """Return what the system says of the memory of this process, "" where it does not."""
    try:
        return os.pread(_file(os.getpid()), 128, 0)
    except (OSError, AttributeError):
        return b""


@cache
def _file(process: int) -> int:
    """Return the open file in which the system says what this process takes."""
    return os.open(f"/proc/{process}/statm", os.O_RDONLY | os.O_CLOEXEC)


def give_back(all_of_it: bool = False) -> None:
    """Return to the system what the C library holds and nobody uses; only glibc can.

    Args:
        all_of_it: also what DuckDB holds for later. Its allocator is one for the process, and gives
            everything back when an instance is closed; its threads that should do so after some
            seconds end with the first instance that is.
    """
    if all_of_it:
        import duckdb

        duckdb.connect(":memory:").close()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def out_of_time(limit: float, request: float | None = None) -> QueryTimeoutError:
    """Return the error of a query that took too long.

    Args:
        limit: seconds that it had.
        request: seconds that its request had, where that was the bound.
    """
    if request is not None:
        return QueryTimeoutError(
            f"The request used up its time of {request:.3g} s.",
            "ask less in one request, or give it more: db.request(timeout=).",
        )
    return QueryTimeoutError(
        f"The query used up its time of {limit:.3g} s.",
        "narrow it, or give it more: slicedb.open(timeout=), or SLICEDB_TIMEOUT in seconds.",
    )


def out_of_memory(limit: int, why: str = "") -> QueryMemoryError:
    """Return the error of a query that took too much."""
    reason = f": {why}" if why else ""
    return QueryMemoryError(
        f"The query used up its memory of {size(limit)}{reason}.",
        "narrow it, or give it more: slicedb.open(memory='8GB'), or SLICEDB_MEMORY=8GB.",
    )
