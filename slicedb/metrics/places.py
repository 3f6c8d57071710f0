"""Where keys stand: a table that answers millions of look-ups without sorting them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]

_EMPTY = -1
"""Never a key: keys are not negative."""


class Places:
    """The row of each key, by open addressing.

    Keys are hashes, so their leading bits alone say almost where they stand: a key lies at the
    place that its bits name, or a few behind. Two to four places a key keep most at their own.

    Args:
        keys: int64 (n,), ascending and distinct, 63 bits.
        rows: int64 (n,): what is found for each key; None is its place in `keys`.
    """

    def __init__(self, keys: Keys, rows: Keys | None = None) -> None:
        self.n = len(keys)
        bits = min(40, self.n.bit_length() + 1)
        self._shift = 63 - bits
        i = np.arange(self.n)
        place = np.maximum.accumulate((keys >> self._shift) - i) + i  # pushed on where taken
        size = max(2**bits, int(place[-1]) + 1 if self.n else 0) + 1
        self._key = np.full(size, _EMPTY, np.int64)
        self._key[place] = keys
        self._row = np.full(size, self.n, np.int32 if self.n < 2**31 else np.int64)
        self._row[place] = i if rows is None else rows

    def find(self, keys: Keys) -> npt.NDArray[np.integer]:
        """Return (m,): the row of each key in the order given, n for unknown ones."""
        place = keys >> self._shift
        ahead = np.flatnonzero(self._key.take(place) != keys)
        while len(ahead):
            place[ahead] += 1
            there = self._key.take(place[ahead])
            ahead = ahead[(there != keys[ahead]) & (there != _EMPTY)]
        rows: npt.NDArray[np.integer] = self._row.take(place)
        return rows
