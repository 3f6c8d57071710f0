"""Read a file of JSON, and say where it is broken."""

from __future__ import annotations

import json
from typing import Any

from slicedb.errors import SourceError
from slicedb.sources import Location


def load(file: Location) -> Any:
    """Return what a file of JSON holds.

    Raises:
        SourceError: it cannot be read, or is no JSON; the line and the column are named.
    """
    try:
        return json.loads(file.read_bytes().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise SourceError(
            f"'{file}', line {error.lineno}, column {error.colno}: {error.msg}.",
            "correct it; nothing was written.",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"Cannot read '{file}': {reason}.", "check the file.") from error
