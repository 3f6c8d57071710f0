"""SliceDB: test-driven development for computer-vision datasets.

A slice is a named query; a query is a function from a dataset to an ordered set of sample ids;
a test is a slice, a metric and a bound.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for one another, and take the cores from the threads that
# decode and from other processes: ten times fewer images a second on a busy machine. They read
# this when torch is first loaded; a policy that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from slicedb import models
    from slicedb.database import Database, open
    from slicedb.errors import SliceDBError

__all__ = ["Database", "SliceDBError", "__version__", "models", "open"]

_LAZY = {
    "Database": ("slicedb.database", "Database"),
    "SliceDBError": ("slicedb.errors", "SliceDBError"),
    "models": ("slicedb.models", ""),
    "open": ("slicedb.database", "open"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'slicedb' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
