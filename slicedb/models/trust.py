"""Remember whose code may run: what this user registered here, or looked at and trusted.

A database names the factories and checkpoints of its models. One that comes from elsewhere may name
any file, so that what its rows say is no reason to run code. The reason lies outside of it, in the
user's own folder: a line for each factory and pickled checkpoint that was registered here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Code: TypeAlias = "tuple[str, str | None]"
"""What a model is loaded from: its spec, its weights."""

TRUST_ALL = "SLICEDB_TRUST"
"""Environment variable: "1" where every database is the user's own, such as in a container."""

_vouched: set[str] = set()
"""What the process that this one works for has loaded itself, and named."""


def vouch(*parts: str | None) -> None:
    """Let code run in this process alone, for one that trusts it has asked for it."""
    _vouched.add(_line(parts))


def trust(*parts: str | None) -> None:
    """Remember that code may run.

    Args:
        parts: what names it: the spec of a model, its weights.
    """
    if is_trusted(*parts):
        return
    for folder in _folders():
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (folder / "trusted").open("a", encoding="utf-8") as file:
                file.write(_line(parts))
            return


def is_trusted(*parts: str | None) -> bool:
    """Return whether code may run: registered or vouched for here, or `TRUST_ALL` is set."""
    if os.environ.get(TRUST_ALL, "0") not in ("", "0"):
        return True
    if _line(parts) in _vouched:
        return True
    for folder in _folders():
        with contextlib.suppress(OSError):
            file = folder / "trusted"
            if not _is_own(file):
                continue
            if _line(parts) in file.read_text(encoding="utf-8").splitlines(keepends=True):
                return True
    return False


def _line(parts: tuple[str | None, ...]) -> str:
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest() + "\n"


def _folders() -> Iterator[Path]:
    """Yield where the lines lie: the user's folder of settings, else one of the user in /tmp."""
    if own := os.environ.get("SLICEDB_CONFIG"):
        yield Path(own)
        return
    settings = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    yield Path(settings) / "slicedb"
    yield Path(tempfile.gettempdir()) / f"slicedb-{_user()}"


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _is_own(file: Path) -> bool:
    """Return whether nobody else could have written a file: it and its folder are the user's."""
    if not hasattr(os, "getuid"):
        return True
    about = [file.stat(), file.parent.stat()]
    return all(a.st_uid == os.getuid() and not a.st_mode & 0o022 for a in about)
