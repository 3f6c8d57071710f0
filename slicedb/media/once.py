"""Decode a picture once for all who read it one after the other."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator

import numpy as np

from slicedb.errors import MediaError

_EIGHTHS = 8


class _Held(threading.local):
    """The picture that this thread reads several times, and its pixels by the way of decoding."""

    data: bytes | None = None
    pixels: dict[Hashable, np.ndarray | MediaError | ValueError]


_HELD = _Held()


@contextlib.contextmanager
def decoded_once(data: bytes) -> Iterator[None]:
    """Within the block, let `decode_rgb` of these bytes decode once for each size, in this thread.

    Whoever reads them again gets the same array, and must not write to it.
    """
    before = _HELD.data, getattr(_HELD, "pixels", {})
    _HELD.data, _HELD.pixels = data, {}
    try:
        yield
    finally:
        _HELD.data, _HELD.pixels = before


def kept(data: bytes, how: Hashable, decode: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what `decode` gives, from before where the bytes were decoded like that.

    Raises:
        MediaError: they do not decode.
        ValueError: the fast decoder leaves them to the careful one.
    """
    if _HELD.data is not data:
        return decode()
    if how not in _HELD.pixels:
        try:
            _HELD.pixels[how] = decode()
        except (MediaError, ValueError) as error:
            _HELD.pixels[how] = error
    pixels = _HELD.pixels[how]
    if isinstance(pixels, Exception):
        raise pixels
    return pixels


def eighths(height: int, width: int, least: int) -> Hashable:
    """Return at how many eighths of its size a JPEG is decoded, so that a size is enough.

    >>> eighths(3000, 4000, 672), eighths(3000, 4000, 700), eighths(3000, 4000, 768)
    (2, 2, 3)

    Args:
        height: of the JPEG.
        width: of the JPEG.
        least: pixels that both are to have at least; 0 is the whole.

    Returns:
        1 to 8, or something else of each size that is more than there is.
    """
    if least > min(height, width):
        return "more", least
    fits = (n for n in range(1, _EIGHTHS) if min(-(-height * n // 8), -(-width * n // 8)) >= least)
    return next(fits, _EIGHTHS) if least else _EIGHTHS
