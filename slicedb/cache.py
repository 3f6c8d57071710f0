"""Keep recent results: the one bounded cache."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """The values used last, bounded in number and in size. Safe for threads.

    Args:
        most: how many values are kept.
        size: gives the size of a value, in bytes say; None counts values alone.
        most_size: the sum of sizes that is kept. The value used last always stays.

    >>> squares = Cache[int, int](most=2)
    >>> [squares.get(x, lambda x=x: x * x) for x in (1, 2, 3)]
    [1, 4, 9]
    >>> 1 in squares, 3 in squares
    (False, True)
    """

    def __init__(
        self,
        most: int,
        *,
        size: Callable[[V], int] | None = None,
        most_size: int = 0,
    ) -> None:
        self.most = most
        self._size = size
        self._most_size = most_size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._total = 0
        self._lock = threading.RLock()

    def __contains__(self, key: K) -> bool:
        with self._lock:
            return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> list[V]:
        """Return all values, the one used longest ago first."""
        with self._lock:
            return list(self._values.values())

    def find(self, key: K) -> V | None:
        """Return the value of a key, or None; it becomes the one used last."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, made when it is not there.

        Two threads that miss at once both make it, and one of the two values is kept: making may
        take long, and no thread waits for a key that is not its own.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, and let go of the ones used longest ago."""
        with self._lock:
            self.drop(key)
            self._values[key] = value
            self._total += self._size(value) if self._size else 0
            while len(self._values) > 1 and self._is_full():
                self._let_go(next(iter(self._values)))
            if self.most < 1:
                self.clear()

    def drop(self, key: K) -> None:
        """Forget a key, if it is there."""
        with self._lock:
            if key in self._values:
                self._let_go(key)

    def drop_where(self, is_stale: Callable[[K], bool]) -> None:
        """Forget every key for which `is_stale` holds: the older versions of a table, say."""
        with self._lock:
            for key in [k for k in self._values if is_stale(k)]:
                self._let_go(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._total = 0

    def _is_full(self) -> bool:
        too_large = self._size is not None and self._total > self._most_size
        return len(self._values) > self.most or too_large

    def _let_go(self, key: K) -> None:
        value = self._values.pop(key)
        self._total -= self._size(value) if self._size else 0


def give_back() -> None:
    """Give memory that is free back to the system, where the C library keeps it (glibc).

    It keeps what arrays of less than 32 MB leave, up to half a gigabyte after a verb over millions
    of samples. This takes milliseconds.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # not glibc
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim  # type: ignore[no-any-return]
