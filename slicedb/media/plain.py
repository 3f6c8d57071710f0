"""Tell the JPEGs that every decoder reads alike from those that need the most careful one."""

from __future__ import annotations

from slicedb.media.formats import JPEG
from slicedb.media.pillow import exif_of

_FILL, _BASELINE, _END = 0xFF, 0xC0, b"\xff\xd9"
_OTHER_FRAMES = frozenset(range(0xC1, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of pictures that are progressive, lossless, arithmetic or of 12 bits. C4, C8 and CC stand
for tables between them."""
_SCAN, _APP1, _APP14 = 0xDA, 0xE1, 0xEE
_YCBCR = 1
"""What Adobe's marker says of the colours of a plain picture."""
_IDS = ((1, 2, 3), (0, 1, 2))
"""Numbers of the components Y, Cb, Cr. A file may call them R, G and B, and then they are."""
_SAMPLINGS = ((0x11, 0x11, 0x11), (0x21, 0x11, 0x11), (0x22, 0x11, 0x11))
"""4:4:4, 4:2:2 and 4:2:0."""


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a plain JPEG, None of anything else.

    Plain is what ends as it should, and is baseline, of 8 bits, in YCbCr (4:4:4, 4:2:2 or 4:2:0)
    and upright: no CMYK, no gray, no progressive one, none that EXIF turns. The head is read alone,
    so that the pixels may still be damaged.
    """
    if data[:3] != JPEG or data[-2:] != _END:
        return None
    at, is_tagged = 2, False
    while at + 4 <= len(data) and data[at] == _FILL:
        kind = data[at + 1]
        if kind == _FILL:  # any number of them may stand before a marker
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + min(length, 64)]
        if kind == _BASELINE:
            size = _size(body)
            is_upright = not is_tagged or exif_of(data)[0] == 1
            return size if is_upright else None
        if kind in _OTHER_FRAMES or kind == _SCAN or length < 2:
            return None
        if kind == _APP14 and body[:5] == b"Adobe" and body[11:12] != bytes([_YCBCR]):
            return None
        is_tagged = is_tagged or (kind == _APP1 and body[:6] == b"Exif\0\0")
        at += 2 + length
    return None


def _size(frame: bytes) -> tuple[int, int] | None:
    """Return (height, width) that a frame header states, None unless it is plain."""
    if len(frame) < 15 or frame[0] != 8 or frame[5] != 3:
        return None
    parts = [frame[6 + 3 * i : 9 + 3 * i] for i in range(3)]
    ids, samplings = tuple(p[0] for p in parts), tuple(p[1] for p in parts)
    if ids not in _IDS or samplings not in _SAMPLINGS:
        return None
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return (height, width) if height and width else None
