"""Keep libtiff from writing to stderr, and say what a TIFF holds that cannot be decoded."""

from __future__ import annotations

import ctypes
import struct
from functools import cache
from pathlib import Path

import PIL

COMPRESSIONS = {
    2: "CCITT",
    3: "fax group 3",
    4: "fax group 4",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32809: "ThunderScan",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
"""Names of the values of the tag Compression."""

_COMPRESSION = 259
_PLACES = ((273, 279), (324, 325))
"""Tags of where strips and tiles begin, and how many bytes they have."""
_READ = frozenset({258, 259, 273, 279, 324, 325, 339})
"""The tags that are read."""
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of tags that are whole numbers, as `struct` calls them."""


@cache
def silence() -> bool:
    """Take libtiff's handlers of errors and warnings away, once; Pillow raises what it says.

    The library prints a line for each row that it cannot read, from all threads.

    Returns:
        Whether the library that Pillow brings was found.
    """
    home = Path(PIL.__file__).parent
    for pattern in ("../pillow.libs/libtiff*", ".dylibs/libtiff*"):
        for file in sorted(home.glob(pattern)):
            try:
                library = ctypes.CDLL(str(file))  # the one that is loaded, by its path
                for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                    setter = getattr(library, name)
                    setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
                    setter(None)
            except (OSError, AttributeError):
                continue
            return True
    return False


def is_cut(data: bytes) -> bool:
    """Return whether pixels that a TIFF's first directory names lie behind its end.

    >>> is_cut(b"II*\\0")
    True
    """
    tags = _directory(data)
    if tags is None:
        return True
    for starts, counts in _PLACES:
        if starts in tags and counts in tags:
            ends = [a + n for a, n in zip(tags[starts], tags[counts])]
            return max(ends, default=0) > len(data)
    return False


def unsupported(data: bytes) -> str:
    """Return what a whole TIFF holds that is not decoded, in words."""
    tags = _directory(data) or {}
    values = tags.get(_COMPRESSION) or [1]
    how = COMPRESSIONS.get(values[0], "")
    code = f"compression {values[0]}{f' ({how})' if how else ''}"
    bits = ", ".join(str(value) for value in tags.get(258, [])) or "unknown"
    kind = {1: "unsigned", 2: "signed", 3: "floating"}.get((tags.get(339) or [1])[0], "unknown")
    return f"A whole TIFF of a kind that is not decoded: {code}, {kind} samples of {bits} bits."


def _directory(data: bytes) -> dict[int, list[int]] | None:
    """Return the whole numbers of the first directory by their tags; None where it is cut off."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        is_big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
        head, count, entry, wide = ("Q", "Q", 20, 8) if is_big else ("I", "H", 12, 4)
        at = struct.unpack_from(f"{order}{head}", data, 8 if is_big else 4)[0]
        n = struct.unpack_from(f"{order}{count}", data, at)[0]
        start = at + struct.calcsize(count)
        tags: dict[int, list[int]] = {}
        for i in range(min(n, 4096)):
            tag, kind = struct.unpack_from(f"{order}HH", data, start + i * entry)
            number = struct.unpack_from(f"{order}{head}", data, start + i * entry + 4)[0]
            here = start + i * entry + 4 + struct.calcsize(head)
            if tag not in _READ or tag in tags or kind not in _CODES or number > len(data):
                continue
            if struct.calcsize(_CODES[kind]) * number > wide:
                here = struct.unpack_from(f"{order}{head}", data, here)[0]
            tags[tag] = list(struct.unpack_from(f"{order}{number}{_CODES[kind]}", data, here))
    except struct.error:
        return None
    return tags
