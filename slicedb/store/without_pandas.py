"""Use pyarrow without the pandas that it imports to see whether a value is a pandas object.

That takes 0.15 s of every process that asks a query, and no query needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pyarrow as pa


class _Hidden:
    """Says that pandas is not installed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is hidden while pyarrow.dataset is imported")


def import_dataset() -> None:
    """Import `pyarrow.dataset`, which lance imports, without pandas behind it.

    While it is imported, it makes a scalar, for which pyarrow looks for pandas. pyarrow keeps what
    it saw, so it is told to look again: whoever asks for a frame later gets one.
    """
    if "pyarrow.dataset" in sys.modules or "pandas" in sys.modules:
        return
    shim = getattr(pa.lib, "_pandas_api", None)
    if shim is None:  # another pyarrow than those known; it works, and takes longer
        return
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        import pyarrow.dataset  # noqa: F401
    finally:
        sys.meta_path.remove(hidden)
        shim.__init__()


def arrow_array(values: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return numbers or truths as Arrow, without a copy of numbers; `pa.array` looks for pandas.

    Args:
        values: (n,), of integers, floats or bool.
        missing: bool (n,): what is null; None is nothing.

    >>> arrow_array(np.array([1, 2, 3]), np.array([False, True, False])).to_pylist()
    [1, None, 3]
    """
    whole = values if values.dtype == bool else np.ascontiguousarray(values)
    data = _bits(whole) if whole.dtype == bool else pa.py_buffer(whole)
    valid = None if missing is None or not missing.any() else _bits(~missing)
    return pa.Array.from_buffers(pa.from_numpy_dtype(whole.dtype), len(whole), [valid, data])


def _bits(truths: np.ndarray) -> pa.Buffer:
    """Return one bit per value, as Arrow stores bool and validity."""
    return pa.py_buffer(np.packbits(truths, bitorder="little"))
