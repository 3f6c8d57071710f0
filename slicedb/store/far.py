"""Keep on this machine what was computed of databases in buckets, for as long as it is used.

What lies in the folder of one database is bounded where it is written: columns and vectors by
versions and bytes, thumbnails by bytes. Nobody tells a machine that a database in a bucket is gone,
so that folders of databases that were not opened for long are removed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import time
from pathlib import Path

_DAYS = 30
"""Days after which the folder of a database goes that was not opened."""


def cache_of(address: str) -> Path:
    """Return the folder of a database in a bucket, and remove those of others that nobody uses.

    Args:
        address: of the database; every process that opens it there has the same folder.
    """
    root = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return _used(Path(root) / "slicedb", address)


@functools.lru_cache(maxsize=256)
def _used(root: Path, address: str) -> Path:
    """Return the folder, and note that it is used; once in a process."""
    folder = root / hashlib.sha256(address.encode()).hexdigest()[:16]
    with contextlib.suppress(OSError):  # what cannot be written is not kept
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _remove_unused(root)
    return folder


def _remove_unused(root: Path) -> None:
    for other in root.iterdir():
        is_one = len(other.name) == 16 and other.is_dir()  # and nothing else that lies there
        if is_one and time.time() - other.stat().st_mtime > _DAYS * 86_400:
            shutil.rmtree(other, ignore_errors=True)
