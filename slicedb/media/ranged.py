"""Encoded pictures of deep gray that are shown by a range of the user's, not by their own.

The range belongs to a database, and pictures are decoded in many places: it travels with the bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from slicedb.errors import IngestError, did_you_mean
from slicedb.media.formats import FORMATS, JPEG

Range: TypeAlias = tuple[float, float]
"""The values that become black and white."""
Ranges: TypeAlias = Mapping[str, Range]
"""Range by format ("tiff", "png"); "" is that of the others."""
GivenRanges: TypeAlias = "Mapping[str, Sequence[float]] | Sequence[str] | Sequence[float] | str"


class RangedBytes(bytes):
    """An encoded picture, and the ranges to show it by."""

    ranges: Ranges = {}


def ranged(data: bytes, ranges: Ranges) -> bytes:
    """Return an encoded picture with the ranges to show it by; a JPEG, never deep, as it is."""
    if not ranges or data[:3] == JPEG or isinstance(data, RangedBytes):
        return data
    out = RangedBytes(data)
    out.ranges = ranges
    return out


def range_of(data: bytes, format: str | None) -> Range | None:
    """Return the range to show a picture by; None where its own decides.

    Args:
        data: the encoded picture.
        format: Pillow's name of its format.
    """
    ranges = data.ranges if isinstance(data, RangedBytes) else {}
    return ranges.get(FORMATS.get(format or "", ""), ranges.get(""))


def ranges_of(given: GivenRanges) -> dict[str, Range]:
    """Return ranges as they are kept.

    >>> ranges_of((0, 4095)), ranges_of("tiff=0,4095"), ranges_of({"png": (0, 1023)})
    ({'': (0.0, 4095.0)}, {'tiff': (0.0, 4095.0)}, {'png': (0.0, 1023.0)})

    Raises:
        IngestError: a range is no two numbers of which the second is larger, or is of a format
            that is not known.
    """
    if isinstance(given, Mapping):
        return {_format(name): _range(pair) for name, pair in given.items()}
    if isinstance(given, str):
        given = [given]
    if not any(isinstance(one, str) for one in given):
        return {"": _range(given)}
    found: dict[str, Range] = {}
    for text in map(str, given):
        name, sign, pair = text.rpartition("=")
        found[_format(name) if sign else ""] = _range(pair.replace(",", " ").split())
    return found


def _format(name: str) -> str:
    known = sorted(set(FORMATS.values()))
    plain = {"tif": "tiff"}.get(name.strip().lower(), name.strip().lower())
    if plain and plain not in known:
        raise IngestError(f"No format '{name}' for a range.", did_you_mean(plain, known, "formats"))
    return plain


def _range(pair: object) -> Range:
    try:
        low, high = (float(value) for value in pair)  # type: ignore[attr-defined]
        is_one = math.isfinite(low) and math.isfinite(high) and low < high
    except (TypeError, ValueError):
        is_one = False
    if not is_one:
        shown = " ".join(pair) if isinstance(pair, list) else pair
        raise IngestError(
            f"The gray range {shown!r} is not two numbers, of which the second is larger.",
            "write LOW,HIGH, such as 0,4095, or FORMAT=LOW,HIGH.",
        )
    return low, high
