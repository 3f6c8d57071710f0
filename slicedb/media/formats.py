"""Recognise image formats: what their files are called, how they begin, how they break."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable

from slicedb.errors import MediaError
from slicedb.media.libtiff import is_cut

EXTENSIONS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "jpeg"),
    ".png": "png",
    ".apng": "png",
    ".webp": "webp",
    ".gif": "gif",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".dib": "bmp",
}
"""File extension -> the format it promises."""

FORMATS = {
    **{name: name.lower() for name in "JPEG PNG WEBP GIF TIFF BMP".split()},
    "MPO": "jpeg",
    "DIB": "bmp",
}
"""Pillow's name of a format -> ours. No other format is opened."""

OPENERS = [name for name in FORMATS if name != "MPO"]  # Pillow finds MPO inside JPEG
JPEG = b"\xff\xd8\xff"
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


def wrong_extension(name: str, format: str) -> str:
    """Return what is wrong with a file's extension, or an empty string.

    >>> wrong_extension("a/b.png", "jpeg")
    'Named .png, but the bytes are jpeg.'
    >>> wrong_extension("a/b.JPG", "jpeg")
    ''
    """
    if EXTENSIONS.get(name[name.rfind(".") :].lower(), format) == format:
        return ""  # nearly always; it is a third of the time of what follows
    extension = os.path.splitext(name)[1].lower()
    if EXTENSIONS.get(extension, format) == format:
        return ""
    return f"Named {extension}, but the bytes are {format}."


def looks_like_image(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (32 are enough) claims a known format."""
    return any(is_it(head) for is_it, _ in _LOOKS)


def check_png(data: bytes) -> None:
    """Compare the checksums that Pillow leaves out: of the pixels, and whether the end is there."""
    at, kind = 8, b""
    while kind != b"IEND":
        size = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 8 + size
        if end + 4 > len(data):
            raise MediaError("truncated", "The last chunk is cut off.")
        is_critical = kind[:1].isupper()
        if is_critical and zlib.crc32(data[at + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            raise MediaError("corrupt", f"The checksum of chunk {kind.decode('latin1')} is wrong.")
        at = end + 4


def reason_of(data: bytes, message: str) -> str:
    """Return the status of bytes that do not decode.

    Args:
        message: what the decoder said.

    Returns:
        not_an_image, truncated, corrupt, or unsupported of a whole TIFF of a kind that is not
        decoded.
    """
    if is_tiff(data) and not is_cut(data) and any(word in message for word in _UNKNOWN):
        return "unsupported"
    looks = next((cut for is_it, cut in _LOOKS if is_it(data)), None)
    if looks is None:
        return "not_an_image"
    short = any(word in message.lower() for word in ("truncat", "premature", "not enough", "eof"))
    return "truncated" if short or len(data) < 64 or looks(data) else "corrupt"


def is_tiff(data: bytes) -> bool:
    """Return whether bytes begin as a TIFF does, the large kind included."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


_UNKNOWN = ("cannot identify", "unknown", "not available", "not supported", "unsupported")
"""What Pillow says of a file that it would not decode however whole it is."""


def _le(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


_LOOKS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], bool]], ...] = (
    # the first bytes look like the format; the end is missing
    (lambda d: d[:3] == JPEG, lambda d: d.rfind(b"\xff\xd9") < 0),
    (lambda d: d[:8] == b"\x89PNG\r\n\x1a\n", lambda d: b"IEND" not in d),
    (lambda d: d[:4] == b"RIFF" and d[8:12] == b"WEBP", lambda d: _le(d, 4) + 8 > len(d)),
    (lambda d: d[:6] in (b"GIF87a", b"GIF89a"), lambda d: d[-1:] != b";"),
    (lambda d: is_tiff(d), is_cut),
    (lambda d: d[:2] == b"BM" and _le(d, 14) in _BMP_HEADERS, lambda d: _le(d, 2) > len(d)),
)
