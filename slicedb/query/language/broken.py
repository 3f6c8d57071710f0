"""Tell when DuckDB has failed inside, after which it answers nothing more.

An INTERNAL or FATAL error means that DuckDB no longer trusts its own state: it refuses every later
statement of the same instance. The session then begins again with a new one.
"""

from __future__ import annotations

_SIGNS = ("INTERNAL Error", "FATAL Error", "database has been invalidated")


class BrokenSessionError(Exception):
    """DuckDB has failed inside; never seen by users."""


def is_broken(error: BaseException) -> bool:
    """Return whether an error of DuckDB means that its instance is of no more use."""
    text = str(error)
    return any(sign in text for sign in _SIGNS)
