"""Label Studio's run-length code of painted masks, which it has from thi.ng/rle-pack.

A stream of bits: 32 of how many values there are, 5 of how many bits a value has, less one, four
times 4 of how many bits a length may have, less one. Then runs: one bit that says whether a value
is repeated, two that choose the size of the length, the length less one, and a value or, where
nothing is repeated, as many values. The values are RGBA of the picture, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slicedb.show.numbers import count

_SIZES = (3, 4, 8, 16)
"""Bits of a length, as Label Studio writes them."""
_BITS = 8


class _Bits:
    """Bits that are read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, n: int) -> int:
        """Return the next n bits as a number.

        Raises:
            ValueError: there are not so many.
        """
        end = self._at + n
        if end > 8 * len(self._data):
            raise ValueError("the code of a mask is cut off")
        first, last = self._at >> 3, (end + 7) >> 3
        whole = int.from_bytes(self._data[first:last], "big")
        self._at = end
        return (whole >> (8 * last - end)) & ((1 << n) - 1)


def unpack(code: Sequence[int], width: int, height: int) -> np.ndarray:
    """Return a painted mask, bool (height, width): where something is opaque.

    Raises:
        ValueError: the code is cut off, or is of a mask of another size.
    """
    try:
        bits = _Bits(bytes(code))
    except (TypeError, ValueError) as error:
        raise ValueError("the code of a mask is no list of bytes") from error
    total, word = bits.read(32), bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    if total != 4 * width * height:
        raise ValueError(
            f"a mask has {count(total, 'value')}, and the picture of {width}×{height} has "
            f"{4 * width * height:,}"
        )
    values = np.zeros(total, np.uint32)
    at = 0
    while at < total:
        repeats = bits.read(1)
        end = at + 1 + bits.read(sizes[bits.read(2)])
        if end > total:
            raise ValueError("a run of a mask reaches beyond it")
        if repeats:
            values[at:end] = bits.read(word)
        else:
            values[at:end] = [bits.read(word) for _ in range(end - at)]
        at = end
    alpha = values.reshape(height, width, 4)[..., 3]  # (h, w)
    return np.asarray(alpha > 0)


def pack(mask: np.ndarray) -> list[int]:
    """Return the code of a mask, bool (height, width), as Label Studio reads it."""
    values = np.repeat(np.where(mask, 255, 0).astype(np.uint8).ravel(), 4)
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = np.concatenate([[0], edges]).astype(np.int64)
    lengths = np.diff(np.concatenate([starts, [len(values)]]))
    parts = [f"{len(values):032b}{_BITS - 1:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    most = 1 << _SIZES[-1]
    for start, length in zip(starts.tolist(), lengths.tolist()):
        value = f"{int(values[start]):08b}"
        while length:
            run = min(length, most)
            which = next(i for i, size in enumerate(_SIZES) if run <= 1 << size)
            parts.append(f"1{which:02b}{run - 1:0{_SIZES[which]}b}{value}")
            length -= run
    bits = "".join(parts)
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))
