"""Name the versions of the software that a result depends on."""

from __future__ import annotations

import contextlib
import json


def software() -> str:
    """Return the versions that a result depends on, as JSON."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in ("slicedb", "pylance", "duckdb", "pyarrow", "numpy", "torch", "open_clip_torch"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return json.dumps(versions)
