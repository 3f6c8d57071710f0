"""Let a bounded number of queries run at once; those who wait take turns by client."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from slicedb.errors import OptionError, QueryBusyError

if TYPE_CHECKING:
    from slicedb.query.run.clock import Clock

AT_ONCE = "SLICEDB_AT_ONCE"
_FEWEST = 4
_TICK = 0.02
"""Seconds between two looks at the time and at Ctrl-C of one who waits."""
WAITING = 32
"""Queries of one named client that may wait; more are refused, so that no queue grows for ever."""


def at_once_of(given: int | None) -> int:
    """Return how many queries may run at once: as given, else SLICEDB_AT_ONCE, else one per core.

    At least four where nobody says, so that a slow query does not keep everyone waiting.

    Raises:
        OptionError: it is no whole number from 1 on.
    """
    text = os.environ.get(AT_ONCE, "") if given is None else str(given)
    if not text:
        return max(_FEWEST, os.cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"'{text}' queries at once are not possible.", f"{AT_ONCE}=8, say.")
    return int(text)


class _Place:
    """What one run waits for."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.given = threading.Event()


class Queue:
    """Places for runs.

    DuckDB gives each query all cores; more of them at once only take memory and slow one another
    down. A named client has at most half of the places, so that others always get one soon.

    Args:
        places: runs at once.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._each = max(1, places // 2)
        self._lock = threading.Lock()
        self._running: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[_Place]] = OrderedDict()
        self._inside = threading.local()

    @contextlib.contextmanager
    def place(self, clock: Clock, client: str = "") -> Iterator[None]:
        """Wait for a place and hold it; a run inside a run of the same thread needs none.

        Raises:
            QueryBusyError: too many of the client's queries wait.
            QueryError: the time is up, or the run was cancelled, before there was a place.
        """
        if getattr(self._inside, "is_held", False):
            yield
            return
        self._enter(clock, client)
        self._inside.is_held = True
        try:
            yield
        finally:
            self._inside.is_held = False
            self._leave(client)

    def _enter(self, clock: Clock, client: str) -> None:
        place = _Place(client)
        with self._lock:
            line = self._waiting.setdefault(client, deque())
            if client and len(line) >= WAITING:
                raise QueryBusyError(
                    f"{WAITING} queries of '{client}' wait already.",
                    "wait for their answers, or cancel those that nobody reads any more.",
                )
            line.append(place)
            self._give()
        try:
            while not place.given.wait(_TICK):
                clock.wait()
        except BaseException:
            self._give_up(place)
            raise

    def _give_up(self, place: _Place) -> None:
        with self._lock:
            if place.given.is_set():  # at the same moment
                self._free(place.client)
                return
            line = self._waiting.get(place.client)
            if line is not None and place in line:
                line.remove(place)
                if not line:
                    del self._waiting[place.client]

    def _leave(self, client: str) -> None:
        with self._lock:
            self._free(client)

    def _free(self, client: str) -> None:
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._give()

    def _give(self) -> None:
        """Give free places to those who wait, one client after the other."""
        while sum(self._running.values()) < self.places:
            client = next((c for c in self._waiting if not self._has_its_share(c)), None)
            if client is None:
                return
            line = self._waiting[client]
            place = line.popleft()
            if line:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            self._running[client] = self._running.get(client, 0) + 1
            place.given.set()

    def _has_its_share(self, client: str) -> bool:
        return bool(client) and self._running.get(client, 0) >= self._each
