"""Write files and folders whole: under a name of their own first, which is changed at the end."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

_START = ".part-"


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the place to write to, and let it become `path` when the block ends without an error.

    What a run that was killed left there is taken away.

    Args:
        path: a file or folder that is not there, or an empty folder, which is filled.
    """
    # A folder that is there may be a mount, beside which nothing can be written.
    place = path if path.is_dir() else path.parent
    name = hashlib.sha256(path.name.encode(errors="surrogateescape")).hexdigest()[:12]
    part = place / f"{_START}{name}{'' if path.is_dir() else path.suffix}"
    _remove(part)
    try:
        yield part
        if path.is_dir():
            for child in sorted(part.iterdir()):
                child.rename(path / child.name)
            part.rmdir()
        else:
            part.rename(path)
    except BaseException:
        _remove(part)
        raise


def is_taken(path: Path) -> bool:
    """Return whether there is something at a place besides what a killed run left."""
    if not path.exists():
        return False
    return path.is_file() or any(not child.name.startswith(_START) for child in path.iterdir())


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)
