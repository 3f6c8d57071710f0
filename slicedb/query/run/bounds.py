"""How much time and memory a query may take where nobody says."""

from __future__ import annotations

import os
import re

from slicedb.errors import OptionError

TIMEOUT, MEMORY = "SLICEDB_TIMEOUT", "SLICEDB_MEMORY"
_SECONDS = 600.0
_SHARE = "50%"
"""Of the machine's memory, or of the container's."""
_SIZE = re.compile(r"\d+(\.\d+)?\s*(%|[KMGT]i?B)", re.IGNORECASE)


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
