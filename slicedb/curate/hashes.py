"""Compare perceptual hashes: all pairs, each in eight orientations.

A pass over all pairs compares the 64 bits that no orientation changes; the few pairs that are near
in these are compared in the 256 bits of each orientation.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from slicedb import media
from slicedb.errors import CheckError
from slicedb.media.lookalike import BITS
from slicedb.metrics.outcomes import Ints
from slicedb.progress import Bar
from slicedb.show.numbers import count

LEAST_DETAIL = 7
"""Gray levels per step between pixels below which a picture is too flat for its hash to say
anything: plain skies and walls, 0.1 % of CIFAR-10."""
MOST_BITS = 96
"""Bits of 256 beyond which no threshold makes sense: unrelated pictures begin there."""
MOST_PAIRS = 20_000_000
"""Pairs beyond which a threshold is refused: they would not fit into memory, nor be looked at."""
_ROWS, _COLUMNS = 64, 4096
"""Pairs compared at once; their hashes and distances stay in the processor's cache."""
_VERIFIED = 1 << 17
"""Pairs compared in all orientations at once."""


@dataclass(frozen=True, eq=False)
class HashPairs:
    """Pairs of pictures whose hashes are near. All arrays are parallel, (m,)."""

    left: Ints
    """int64: row of the one picture."""
    right: Ints
    """int64: row of the other, behind it."""
    bits: Ints
    """int64: bits of 256 that differ, in the best orientation."""
    orientation: Ints
    """int64, 1 to 8: `media.turn(right, orientation)` looks like left."""


class Hashes:
    """The hashes of n pictures, none of them too flat.

    Args:
        turned: int64 (n,), as of `media.looks`.
        signs: uint8 (n, 32), as of `media.looks` without the detail.
    """

    def __init__(self, turned: np.ndarray, signs: np.ndarray) -> None:
        self.turned = np.ascontiguousarray(turned).view(np.uint64)
        self.views = media.orientations(np.ascontiguousarray(signs))
        """Eight times uint64 (n, 4)."""

    def __len__(self) -> int:
        return len(self.turned)

    def distances(self, left: Ints, right: Ints) -> tuple[Ints, Ints]:
        """Return the bits in which pairs differ, int64 (m,), and in which orientation, 1 to 8."""
        bits = np.full(len(left), BITS + 1, np.int64)
        best = np.ones(len(left), np.int64)
        for start in range(0, len(left), _VERIFIED):
            part = slice(start, start + _VERIFIED)
            mine = self.views[0][left[part]]
            for number, view in enumerate(self.views, 1):
                found = np.bitwise_count(mine ^ view[right[part]]).sum(axis=1, dtype=np.int64)
                closer = found < bits[part]
                bits[part][closer] = found[closer]
                best[part][closer] = number
        return bits, best

    def pairs(self, most: int, bar: Bar, threads: int | None = None) -> HashPairs:
        """Return the pairs that differ in at most so many of the 256 bits.

        Args:
            most: bits.
            bar: advanced by one per picture.
            threads: None takes one per core.

        Raises:
            CheckError: there are more than `MOST_PAIRS`.
        """
        near = _near(most)
        parts: list[HashPairs] = []
        total = 0
        starts = range(0, len(self), _ROWS)
        with ThreadPoolExecutor(media.n_threads(threads), "slicedb-hashes") as pool:
            # in groups, so that an interrupt is noticed and what was found stays bounded
            for group in _groups(starts, 64):
                for start, (left, right) in zip(
                    group, pool.map(lambda first: self._candidates(first, near), group)
                ):
                    bits, best = self.distances(left, right)
                    keep = bits <= most
                    total += int(keep.sum())
                    if total > MOST_PAIRS:
                        raise CheckError(
                            f"More than {count(MOST_PAIRS, 'pair')} differ in at most {most} of "
                            f"{BITS} "
                            "bits.",
                            "give a lower threshold.",
                        )
                    parts.append(HashPairs(left[keep], right[keep], bits[keep], best[keep]))
                    bar.advance(min(_ROWS, len(self) - start))
        return _joined(parts)

    def _candidates(self, first: int, near: int) -> tuple[Ints, Ints]:
        """Return the pairs of `_ROWS` pictures with all behind them that may be near."""
        mine = self.turned[first : first + _ROWS, None]
        # One buffer for all blocks: a fresh one for each takes longer than the comparison.
        xor = np.empty(len(mine) * _COLUMNS, np.uint64)
        counts = np.empty(len(mine) * _COLUMNS, np.uint8)
        left, right = [], []
        for start in range(first, len(self), _COLUMNS):
            others = self.turned[start : start + _COLUMNS]
            size = len(mine) * len(others)
            differing = np.bitwise_xor(mine, others, out=xor[:size].reshape(len(mine), -1))
            np.bitwise_count(differing, out=counts[:size].reshape(len(mine), -1))
            # NumPy finds the few that are true five times as fast in one dimension as in two.
            a, b = np.divmod(np.flatnonzero(counts[:size] <= near), len(others))
            behind = b + start > a + first
            left.append(a[behind] + first)
            right.append(b[behind] + start)
        if not left:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(left), np.concatenate(right)


def _near(most: int) -> int:
    """Return how many of the 64 bits may differ where at most so many of the 256 do.

    Copies of 250 photos, mirrored, halved and saved at JPEG quality 50, differ in at most 9 of the
    64 bits; the more of the 256 may differ, the more room there is.
    """
    return min(22, 7 + most // 5)


def _groups(starts: range, size: int) -> Iterator[range]:
    for at in range(0, len(starts), size):
        yield starts[at : at + size]


def _joined(parts: list[HashPairs]) -> HashPairs:
    if not parts:
        nothing = np.empty(0, np.int64)
        return HashPairs(nothing, nothing, nothing, nothing)
    names = ("left", "right", "bits", "orientation")
    return HashPairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
