"""Say which of several copies of a picture to keep, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.metrics.outcomes import Bools, Ints

HELD_OUT = ("test", "holdout", "val", "valid", "validation", "dev")
"""Splits whose samples are kept: what is measured on them should not change."""


@dataclass(frozen=True, eq=False)
class Criterion:
    """One thing that speaks for a sample."""

    values: np.ndarray
    """(n,): the higher, the better."""
    reason: Callable[[int], str]
    """Says it of a row that is better than the others."""


def columns_of(names: list[str]) -> list[str]:
    """Return the columns of `samples` that decide, of those that there are."""
    asked = "id key label labels objects split width height bytes ingested_at".split()
    return [name for name in asked if name in names]


def criteria(rows: pa.Table, preferred: Bools | None) -> list[Criterion]:
    """Return what speaks for samples, the weightiest first.

    Args:
        rows: `columns_of` samples, in their order.
        preferred: which of them the caller prefers.
    """
    width, height, size = (_numbers(rows, name) for name in ("width", "height", "bytes"))
    split = rows["split"].to_pylist() if "split" in rows.column_names else [None] * len(rows)
    age = -_numbers(rows, "ingested_at")
    found = [
        Criterion(_labelled(rows), lambda i: "has a label"),
        Criterion(np.isin(np.array(split, object), HELD_OUT), lambda i: f"in split {split[i]}"),
        Criterion(width * height, lambda i: f"largest: {width[i]:.0f} x {height[i]:.0f} pixels"),
        Criterion(size, lambda i: f"most bytes: {size[i]:,.0f}"),
        Criterion(age, lambda i: "ingested first"),
    ]
    if preferred is not None:
        found.insert(0, Criterion(preferred, lambda i: "preferred"))
    return found


def ranked(rows: pa.Table, by: list[Criterion]) -> Ints:
    """Return int64 (n,): the rows, the best to keep first, equal ones by id."""
    names = pc.array_sort_indices(rows["id"].combine_chunks()).to_numpy().astype(np.int64)
    columns = [-one.values[names].astype(np.float64) for one in reversed(by)]
    return np.asarray(names[np.lexsort(columns)])


def why(keeper: int, others: Ints, by: list[Criterion]) -> str:
    """Return the first thing by which a keeper is better than every other of its group."""
    for one in by:
        best = one.values[others].max()
        if one.values[keeper] > best:
            return one.reason(keeper)
        others = others[one.values[others] == best]  # the others are beaten by what came before
    return "first by id"


def _labelled(rows: pa.Table) -> np.ndarray:
    """Return float64 (n,): 1 for samples with a ground truth."""
    has = np.zeros(len(rows), bool)
    for name in ("label", "labels", "objects"):
        if name in rows.column_names:
            has |= np.asarray(rows[name].is_valid().to_numpy())
    return has.astype(np.float64)


def _numbers(rows: pa.Table, name: str) -> np.ndarray:
    """Return float64 (n,): a column, 0 where it is null or missing."""
    if name not in rows.column_names:
        return np.zeros(len(rows))
    column = rows[name]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return np.asarray(pc.fill_null(column, 0).to_numpy(), dtype=np.float64)
