"""Let a bounded number of queries run at once; those who wait take turns by client."""

from __future__ import annotations

import contextlib
import os
import threading
import time
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


_SLOW, _WEIGHT = 2.0, 0.25
"""Seconds after which a run is slow, and the part of a place that a slow one takes: some slow
queries never keep the quick ones of others waiting, though all go slower then."""


class _Place:
    """What one run waits for, and holds."""

    def __init__(self, client: str, is_patient: bool = False) -> None:
        self.client = client
        self.is_patient = is_patient
        self.given = threading.Event()
        self._since = 0.0

    def give(self) -> None:
        """Let the run begin."""
        self._since = time.monotonic()
        self.given.set()

    def weight(self, now: float) -> float:
        """Return which part of a place it takes."""
        return _WEIGHT if now - self._since > _SLOW else 1.0


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
        self._running: set[_Place] = set()
        self._waiting: OrderedDict[str, deque[_Place]] = OrderedDict()
        self._patient: deque[_Place] = deque()
        self._inside = threading.local()

    @contextlib.contextmanager
    def place(self, clock: Clock, client: str = "", is_patient: bool = False) -> Iterator[None]:
        """Wait for a place and hold it; a run inside a run of the same thread needs none.

        Args:
            clock: of the run.
            client: who runs it.
            is_patient: whether it waits until nobody else does, and half of the places are free.

        Raises:
            QueryBusyError: too many of the client's queries wait.
            QueryError: the time is up, or the run was cancelled, before there was a place.
        """
        if getattr(self._inside, "is_held", False):
            yield
            return
        place = self._enter(clock, _Place(client, is_patient))
        self._inside.is_held = True
        try:
            yield
        finally:
            self._inside.is_held = False
            with self._lock:
                self._free(place)

    def _enter(self, clock: Clock, place: _Place) -> _Place:
        with self._lock:
            client = place.client
            line = self._patient if place.is_patient else self._line(client)
            if client and sum(other.client == client for other in line) >= WAITING:
                raise QueryBusyError(
                    f"{WAITING} queries of '{client}' wait already.",
                    "wait for their answers, or cancel those that nobody reads any more.",
                )
            line.append(place)
            self._give()
        try:
            while not place.given.wait(_TICK):
                clock.wait()
                with self._lock:
                    self._give()  # others may have become slow
        except BaseException:
            self._give_up(place)
            raise
        return place

    def _give_up(self, place: _Place) -> None:
        with self._lock:
            if place.given.is_set():  # at the same moment
                self._free(place)
                return
            if place in self._patient:
                self._patient.remove(place)
                return
            line = self._waiting.get(place.client)
            if line is not None and place in line:
                line.remove(place)
                if not line:
                    del self._waiting[place.client]

    def _line(self, client: str) -> deque[_Place]:
        return self._waiting.setdefault(client, deque())

    def _free(self, place: _Place) -> None:
        self._running.discard(place)
        self._give()

    def _give(self) -> None:
        """Give free places to those who wait, one client after the other."""
        now = time.monotonic()
        while (taken := sum(place.weight(now) for place in self._running)) <= self.places - 1:
            client = next((c for c in self._waiting if not self._has_its_share(c)), None)
            if client is None:
                if self._patient and not self._waiting and taken <= self.places // 2:
                    place = self._patient.popleft()
                    place.give()
                    self._running.add(place)
                return
            line = self._waiting[client]
            place = line.popleft()
            if line:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            place.give()
            self._running.add(place)

    def _has_its_share(self, client: str) -> bool:
        return bool(client) and sum(p.client == client for p in self._running) >= self._each
