"""Know that a model is still what it was registered as, without loading it and its library.

Loading torch, torchvision and the weights to find them unchanged takes most of the time of a short
command. What a model of a library or a TorchScript program depends on are files and versions of
packages; once a load has found the model to be what was registered, those are noted in the cache
folder. A model whose code the user writes is always loaded: nobody knows what that code reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.models.types import PRETRAINED, RANDOM

if TYPE_CHECKING:
    from slicedb.models.registered import Registered
    from slicedb.store import Store

_PACKAGES = ("torch", "torchvision", "timm", "safetensors", "slicedb")
_LIBRARIES = ("torchvision:", "timm:")
_PROGRAMS = (".ts", ".torchscript", ".pt2")
_SETTLED = 2.0
"""Seconds after which a file's time tells whether it was written again: clocks of file systems
tick coarsely, and a file may be written twice within a tick."""


def note_standing(store: Store, row: Registered) -> None:
    """Note what a model depends on, which a load has just found to be what was registered."""
    facts = _facts(row)
    if facts is None or not store.is_writable:
        return
    with contextlib.suppress(OSError):
        path = _path(store, row)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.write_text(json.dumps(facts), encoding="utf-8")
        beside.replace(path)


def is_standing(store: Store, row: Registered) -> bool:
    """Return whether nothing that a model depends on has changed since it was last found right."""
    try:
        noted = json.loads(_path(store, row).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(noted == _facts(row))


def _path(store: Store, row: Registered) -> Path:
    return store.cache_dir / "models" / f"{row.name}.json"


def _facts(row: Registered) -> dict[str, object] | None:
    """Return what a model depends on; None where that is not known, or was written just now."""
    files = _files(row)
    if files is None:
        return None
    try:
        stats = [os.stat(file) for file in files]
    except OSError:
        return None
    if any(time.time() - stat.st_mtime < _SETTLED for stat in stats):
        return None
    return {
        "fingerprint": row.fingerprint,
        "spec": [row.spec, row.weights],
        "files": [[s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for s in stats],
        "packages": [_version(name) for name in _PACKAGES],
    }


def _files(row: Registered) -> list[str] | None:
    """Return the files that a model is read from; None where it may depend on other things."""
    if row.details.get("allow_pickle"):
        return None
    if row.spec.startswith(_LIBRARIES):
        return [row.weights] if row.weights not in (None, PRETRAINED, RANDOM) else []
    return [row.spec] if row.spec.lower().endswith(_PROGRAMS) else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
