"""Use pyarrow without the pandas that it imports to see whether a value is a pandas object.

That takes 0.15 to 0.3 s of every process, and no verb needs it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

_NUMBERS = (pa.int64(), pa.float32(), pa.float64())


class _Hidden:
    """Says to one thread that pandas is not installed.

    Args:
        shim: pyarrow's memory of whether there is pandas; it looks again when another thread
            imports pandas meanwhile.
    """

    def __init__(self, shim: Any) -> None:
        self._shim = shim
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name != "pandas":
            return
        if threading.get_ident() == self._thread:
            raise ModuleNotFoundError("pandas is hidden while pyarrow looks for it")
        self._shim.__init__()


def import_dataset() -> None:
    """Import `pyarrow.dataset`, which lance imports, without pandas behind it.

    While it is imported, it makes a scalar, for which pyarrow looks for pandas.
    """
    if "pyarrow.dataset" not in sys.modules:
        with without_pandas():
            import pyarrow.dataset  # noqa: F401


def look_for_pandas() -> None:
    """Let pyarrow look for pandas, which it does at the first `to_numpy`, and find nothing."""
    with without_pandas():
        pa.chunked_array([arrow_array(np.zeros(2))] * 2).to_numpy()


@contextlib.contextmanager
def without_pandas() -> Iterator[None]:
    """Hide pandas from pyarrow while a thread works that has no frames, unless it is imported.

    pyarrow keeps what it saw, so it is told to look again: whoever asks for a frame later gets one.
    """
    shim = getattr(pa.lib, "_pandas_api", None)
    # Another pyarrow than those known has no shim; it works, and takes longer.
    if shim is None or "pandas" in sys.modules:
        yield
        return
    hidden = _Hidden(shim)
    sys.meta_path.insert(0, hidden)
    try:
        yield
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


def taken(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Return rows of a table by their places, int64 (m,).

    Numbers are taken by NumPy, for `pyarrow.compute` takes as long to import as a query takes.

    >>> taken(pa.table({"a": [1.5, 2.5], "b": ["x", None]}), np.array([1, 0])).to_pylist()
    [{'a': 2.5, 'b': None}, {'a': 1.5, 'b': 'x'}]
    """
    columns = {}
    for name, column in zip(table.column_names, table.columns):
        if column.type in _NUMBERS and not column.null_count:
            columns[name] = arrow_array(column.to_numpy()[rows])
        else:
            import_dataset()
            columns[name] = column.take(arrow_array(rows))
    return pa.table(columns)


def _bits(truths: np.ndarray) -> pa.Buffer:
    """Return one bit per value, as Arrow stores bool and validity."""
    return pa.py_buffer(np.packbits(truths, bitorder="little"))
