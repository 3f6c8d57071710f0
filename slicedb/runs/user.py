"""Who runs something, as records of it say."""

from __future__ import annotations

import getpass


def user() -> str:
    """Return the name of whoever runs this, "" where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
