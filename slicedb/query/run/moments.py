"""Answer from the newest state of a database that is ready, while the next one is made ready.

Another process writes every second, say, and a million samples take a quarter of a second to carry
over. If each query asked the newest version of each table, all would wait for that again and again.
A caller that allows a lag is answered from versions that were the newest ones a moment ago; one
thread makes the next ones ready meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slicedb.schema import CAMS, EMBEDDINGS, MAPS, MASKS, PREDICTIONS, SAMPLES

if TYPE_CHECKING:
    from slicedb.store import Store

_SHARE = 0.1
"""Part of the time that goes into making versions ready while somebody writes all the time."""
_READ = (SAMPLES, MASKS, EMBEDDINGS, PREDICTIONS, CAMS, MAPS)
"""Tables that queries read, and how the names of others begin. Runs, say, are none of them."""
_LOOK = 0.05
"""Seconds between two looks whether one who waits has still time."""


@dataclass(frozen=True)
class Moment:
    """Versions of all tables that queries read, which were the newest ones at one time."""

    versions: Mapping[str, int]
    seen: float
    """When they were, by the monotonic clock."""
    behind: float = 0.0
    """Seconds for which newer ones may have been there when it was asked for; 0 if there were
    none."""


class Moments:
    """Gives the moments that queries are answered from.

    Args:
        store: the database.
        follow: makes versions of tables ready.
    """

    large = 100_000
    """Samples from which on it matters; fewer are made ready while one looks."""

    def __init__(self, store: Store, follow: Callable[[Mapping[str, int]], None]) -> None:
        self._store = store
        self._follow = follow
        self._changed = threading.Condition()
        self._held: Moment | None = None
        self._is_large = False
        self._is_following = False
        self._pause_ends = 0.0
        self._renewed = float("-inf")

    def renew(self) -> None:
        """Let no later query be answered from what was before now, whatever lag it allows."""
        with self._changed:
            self._renewed = time.monotonic()

    def latest(self, lag: float, check: Callable[[], None]) -> Moment:
        """Return a moment that is ready, and was the present at most `lag` seconds ago.

        Args:
            lag: seconds.
            check: raises where the caller may wait no longer.
        """
        asked = time.monotonic()
        newest = self._versions()
        with self._changed:
            if self._held is None or not self._is_large or self._held.versions == newest:
                self._hold(Moment(newest, asked))
                return Moment(newest, asked)
            while True:
                held, now = self._held, time.monotonic()
                if held.seen >= asked:
                    return held
                is_good = held.seen >= self._renewed and now <= held.seen + lag
                is_good = is_good and held.versions.keys() <= newest.keys()  # none was dropped
                self._begin(is_urgent=not is_good)
                if is_good:
                    return replace(held, behind=now - held.seen)
                self._changed.wait(_LOOK)
                check()

    def _versions(self) -> dict[str, int]:
        names = [name for name in self._store.names() if name.startswith(_READ)]
        return {name: self._store.version(name) for name in names}

    def _hold(self, moment: Moment) -> None:
        if self._held is None or self._held.versions != moment.versions:
            self._is_large = self._store.count(SAMPLES) >= self.large
        self._held = moment

    def _begin(self, is_urgent: bool) -> None:
        """Begin to make the newest versions ready, unless that goes on, or has just ended."""
        if self._is_following or (not is_urgent and time.monotonic() < self._pause_ends):
            return
        self._is_following = True
        threading.Thread(target=self._make_ready, name="slicedb-follow", daemon=True).start()

    def _make_ready(self) -> None:
        began = time.monotonic()
        moment = None
        try:
            moment = Moment(self._versions(), began)
            self._follow(moment.versions)
        finally:  # what could not be made ready is loaded, or fails, where a query asks it
            with self._changed:
                if moment is not None:
                    self._hold(moment)
                ended = time.monotonic()
                self._pause_ends = ended + (ended - began) * (1 / _SHARE - 1)
                self._is_following = False
                self._changed.notify_all()
