"""Copies of a database that cost little, and how much of what is possible is tried."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LONG = os.environ.get("SLICEDB_LONG", "") not in ("", "0")
"""Whether tests that try a part of many cases try all of them, as `.ci/run long` does."""


def duplicate(database: str | Path, place: Path) -> Path:
    """Copy a database, for what changes it by its verbs alone; return the place.

    The files of tables are never written again. They are therefore the same files, by hard links;
    a test that damages them itself takes `shutil.copytree`.
    """

    def share(source: str, target: str) -> str:
        if ".lance" + os.sep in source:
            os.link(source, target)
        else:
            shutil.copy2(source, target)
        return target

    return Path(shutil.copytree(database, place, copy_function=share))
