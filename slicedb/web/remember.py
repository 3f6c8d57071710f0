"""Remember what was computed of a database for as long as its tables stay as they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, TypeVar, cast

from slicedb.cache import Cache

if TYPE_CHECKING:
    from slicedb.database import Database

T = TypeVar("T")


class Remembered:
    """Results by name, arguments and the versions of all tables; what is asked twice at once is
    computed once.

    Args:
        most: results that are kept.
    """

    def __init__(self, most: int = 64) -> None:
        self._known: Cache[Hashable, object] = Cache(most)
        self._locks: Cache[Hashable, threading.Lock] = Cache(4 * most)

    def get(
        self, db: Database, what: Hashable, make: Callable[[], T], *, but: Iterable[str] = ()
    ) -> T:
        """Return what was made for the tables as they are, or make it.

        Args:
            db: whose tables.
            what: names the result, with its arguments.
            make: computes it.
            but: tables that it does not depend on, such as the record of runs.
        """
        left_out = set(but)
        versions = tuple(
            item for item in sorted(db.store.versions().items()) if item[0] not in left_out
        )
        key = (what, versions)
        with self._locks.get(key, threading.Lock):
            return cast(T, self._known.get(key, make))
