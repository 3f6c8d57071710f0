"""Decode the pictures of a batch straight into its memory, as they are or resized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import simplejpeg

from slicedb.errors import MediaError, SliceDBError
from slicedb.media import decode_rgb
from slicedb.models.preprocessing import Preprocessing

Decoder: TypeAlias = "Callable[[bytes, int | None], np.ndarray]"
"""Takes the encoded image and the pixels of the shorter side that are enough (None: all), gives
uint8 (h, w, 3); raises MediaError. `slicedb.media.decode_rgb` is one."""

_DRAFT = 3
_SMALL = 1 << 14  # bytes
_JPEG = b"\xff\xd8\xff"
_MARKS = (b"Exi", b"\0\x14\x08")
"""Bytes of a JPEG with an orientation (the name of the EXIF block), and of one with four components
(CMYK): length and depth in the frame header."""


def decode_rows(
    blobs: Sequence[bytes],
    decoder: Decoder,
    failed: Callable[[int, MediaError], None],
    room: np.ndarray | None = None,
) -> np.ndarray:
    """Decode pictures of one size.

    Args:
        failed: is told the position and the error of each one that does not decode.
        room: uint8 (b, h, w, 3), used when the pictures are of that size.

    Returns:
        uint8 (k, h, w, 3): those that decode, in order; (0, 0, 0, 3) when none does.

    Raises:
        SliceDBError: the pictures differ in size.
    """
    out = np.empty((0, 0, 0, 3), dtype=np.uint8)
    direct = decoder is decode_rgb and _are_plain(blobs)
    k = 0
    for at, data in enumerate(blobs):
        try:
            if k:
                _into(data, out[k], decoder, direct)
            else:
                first = decoder(data, None)
                if room is None or room.shape[1:] != first.shape:
                    room = np.empty((len(blobs) - at, *first.shape), dtype=np.uint8)
                out = room
                out[0] = first
        except MediaError as error:
            failed(at, error)
        else:
            k += 1
    return out[:k]


def fit_rows(
    blobs: Sequence[bytes],
    fit: Preprocessing,
    decoder: Decoder,
    failed: Callable[[int, MediaError], None],
    out: np.ndarray,
) -> np.ndarray:
    """Decode pictures of any size and resize them into `out`.

    Args:
        failed: is told the position and the error of each one that does not decode.
        out: uint8 (b, h, w, 3) of `fit.size`, written from the first row on.

    Returns:
        uint8 (k, h, w, 3): the rows written, those that decode, in order.
    """
    k = 0
    for at, data in enumerate(blobs):
        try:
            fit_into(data, out[k], fit, decoder)
        except MediaError as error:
            failed(at, error)
        else:
            k += 1
    return out[:k]


def fit_into(data: bytes, row: np.ndarray, fit: Preprocessing, decoder: Decoder) -> None:
    """Decode and resize into uint8 (h, w, 3)."""
    if decoder is decode_rgb:
        fit.fill(data, row)
    else:
        fit.fit(decoder(data, _DRAFT * max(fit.size)), row)


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return parts (k, h, w, 3) of one shape in one array; parts that fill one are not copied."""
    base = parts[0].base if len(parts) > 1 else None
    together = base is not None and all(part.base is base for part in parts)
    if base is not None and together and sum(map(len, parts)) == len(base):
        return base
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _are_plain(blobs: Sequence[bytes]) -> bool:
    """Return whether these are small, and every JPEG among them is upright and RGB or gray.

    All are searched at once: that takes a third of the time of searching each.
    """
    if sum(map(len, blobs)) > _SMALL * len(blobs):
        return False
    data = np.frombuffer(b"".join(blobs), np.uint8)
    return not any(
        ((data[:-2] == one) & (data[1:-1] == two) & (data[2:] == three)).any()
        for one, two, three in _MARKS
    )


def _into(
    data: bytes, row: np.ndarray, decoder: Callable[[bytes, int | None], np.ndarray], direct: bool
) -> None:
    """Decode into uint8 (h, w, 3), without a detour where `direct` says that none is needed.

    Then it is decoded by the same call as in `decode_rgb`, which would parse its header and look
    for an orientation first, a seventh of the time at 32 x 32 pixels, and make an array of its own.
    """
    if direct and data[:3] == _JPEG:
        try:
            if simplejpeg.decode_jpeg(data, "RGB", buffer=row).shape == row.shape:
                return
        except ValueError:  # decode_rgb is the judge
            pass
    pixels = decoder(data, None)
    check_shape(row.shape, pixels.shape)
    row[:] = pixels


def check_shape(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Refuse pictures (h, w, 3) of two sizes in one batch."""
    if one != other:
        raise SliceDBError(
            f"Images of {one[1]}x{one[0]} and of {other[1]}x{other[0]} pixels do not make one "
            "batch.",
            "pass size=224, or a transform that ends with a crop.",
        )
