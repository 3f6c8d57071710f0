"""How much time, memory and result a query may take where nobody says."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from slicedb.errors import OptionError

TIMEOUT, MEMORY, RESULT = "SLICEDB_TIMEOUT", "SLICEDB_MEMORY", "SLICEDB_RESULT"
_SECONDS = 600.0
_SHARE = "50%"
"""Of the machine's memory, or of the container's."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(%|[KMGT]i?B)", re.IGNORECASE)
_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Bounds:
    """What one run may take."""

    seconds: float | None
    """None is no limit."""
    memory: int
    """Bytes that the run may allocate, its result included."""
    result: int
    """Bytes of the result as an Arrow table."""
    request: float | None = None
    """Seconds that the whole request was given, where what is left of them bounds the run."""


def timeout_of(given: float | None) -> float | None:
    """Return the seconds that one run may take: as given, else SLICEDB_TIMEOUT, else 600.

    Raises:
        OptionError: the variable is no number.
    """
    text = os.environ.get(TIMEOUT, "") if given is None else str(given)
    try:
        seconds = float(text) if text else _SECONDS
    except ValueError as error:
        raise OptionError(f"{TIMEOUT}={text} is no number.", "write seconds; 0 is no limit.") from (
            error
        )
    return seconds if 0 < seconds < float("inf") else None


def memory_of(given: str | None) -> str:
    """Return the memory that DuckDB may take: as given, else SLICEDB_MEMORY, else half of all.

    Raises:
        OptionError: it is no size.
    """
    text = (given or os.environ.get(MEMORY, "") or _SHARE).strip()
    if not _SIZE.fullmatch(text):
        raise OptionError(f"'{text}' is no size of memory.", f"{MEMORY}=4GB, or a share: 50%.")
    return text


def result_of(given: str | None, memory: int) -> int:
    """Return the bytes that a result may take: as given, else SLICEDB_RESULT, else all memory.

    Args:
        given: a size, or a share of the memory that the query may take.
        memory: bytes that the query may take.

    Raises:
        OptionError: it is no size.
    """
    text = (given or os.environ.get(RESULT, "") or "100%").strip()
    size = _SIZE.fullmatch(text)
    if size is None:
        raise OptionError(f"'{text}' is no size of a result.", f"{RESULT}=1GB, or a share: 50%.")
    if size[2] == "%":
        return int(memory * float(size[1]) / 100)
    return bytes_of(text)


def bytes_of(text: str) -> int:
    """Return the bytes of a size such as "4GB" or "476.8 MiB".

    >>> bytes_of("4GB"), bytes_of("1.5 KiB"), bytes_of("10 bytes")
    (4000000000, 1536, 10)
    """
    number, unit = re.fullmatch(r"([\d.]+)\s*(\w+)", text.strip()).groups()  # type: ignore[union-attr]
    return int(float(number) * _UNITS.get(unit.upper(), 1))
