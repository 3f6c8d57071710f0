"""Cells: the values of columns that every part of a split shall have its share of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql
from slicedb.errors import CheckError
from slicedb.show import numbers

Ints = npt.NDArray[np.int64]

_FEW = 20
"""A number of at most so many values is taken value by value, any other by quantiles."""
_BINS = 5
"""Quantiles of a number."""
_MOST = 20_000
"""Values of a column from which on it names samples rather than kinds of samples."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Which samples have which values; a sample may have several values of one column."""

    columns: tuple[str, ...]
    """The columns, in their order."""
    column: Ints
    """int64 (c,): the column of each cell; -1 of the first, which every sample is in."""
    queries: tuple[str, ...]
    """The samples of each cell as a predicate; "true" of the first."""
    cell: Ints
    """int64 (e,): a cell, from 1, of the sample beside it."""
    sample: Ints
    """int64 (e,)."""
    ordered: tuple[bool, ...] = ()
    """Whether the cells of a column are ranges in ascending order, NULL last."""

    def __len__(self) -> int:
        return len(self.queries)

    def count(self, part: Ints, n_parts: int) -> npt.NDArray[np.float64]:
        """Return float64 (p, c): the samples of each part in each cell; part -1 is left out."""
        counts = np.zeros((n_parts, len(self)))
        inside = part >= 0
        counts[:, 0] = np.bincount(part[inside], minlength=n_parts)
        own = part[self.sample]
        seen = own >= 0
        code = own[seen] * len(self) + self.cell[seen]
        counts.reshape(-1)[:] += np.bincount(code, minlength=counts.size)
        return counts


def cells_of(rows: pa.Table, columns: Sequence[str], bins: int = _BINS) -> Cells:
    """Return the cells of some columns.

    Args:
        rows: the samples.
        columns: of them.
        bins: quantiles of a number or time of many values.

    Text, booleans and numbers of few values have one cell per value, other numbers and times one
    per quantile, lists one per value they hold, `objects` one per label. NULL is a value.

    Raises:
        CheckError: a column has a value of its own for nearly every sample.
    """
    queries, owner, ordered = ["true"], [-1], []
    cell, sample = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, name in enumerate(columns):
        codes, at, texts, is_ordered = _cells(name, rows[name].combine_chunks(), bins)
        if len(texts) > _MOST:
            raise CheckError(
                f"The column '{name}' has {numbers.count(len(texts), 'value')}.",
                "stratify by columns whose values are shared by many samples.",
            )
        cell.append(codes + len(queries))
        sample.append(at)
        queries += texts
        owner += [number] * len(texts)
        ordered.append(is_ordered)
    return Cells(
        tuple(columns),
        np.array(owner, np.int64),
        tuple(queries),
        np.concatenate(cell),
        np.concatenate(sample),
        tuple(ordered),
    )


def _cells(name: str, values: pa.Array, bins: int) -> tuple[Ints, Ints, list[str], bool]:
    """Return int64 (e,) cell and sample of each entry, each cell's predicate, and its order."""
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return *_of_list(name, values), False
    every = np.arange(len(values))
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    has_order = is_number or pa.types.is_temporal(values.type)
    if has_order and pc.count_distinct(values).as_py() > _FEW:
        codes, texts = _quantiles(name, values, bins)
        return codes, every, texts, True
    codes, texts = _values(name, values)
    return codes, every, texts, False


def _values(name: str, values: pa.Array) -> tuple[Ints, list[str]]:
    coded = values.dictionary_encode(null_encoding="encode")
    texts = [sql.equals(name, value) for value in coded.dictionary.to_pylist()]
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), texts


def _of_list(name: str, lists: pa.Array) -> tuple[Ints, Ints, list[str]]:
    inside = pc.list_flatten(lists)
    at = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_struct(inside.type):  # boxes: a picture has a label, however often
        inside = pc.struct_field(inside, "label")
    coded = inside.dictionary_encode(null_encoding="encode")
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    names = coded.dictionary.to_pylist()
    pairs = np.unique(at * max(1, len(names)) + codes)
    at, codes = np.divmod(pairs, max(1, len(names)))
    texts = [
        f"count_objects({sql.literal(value)}) > 0"
        if name == "objects"
        else f"list_contains({sql.name(name)}, {sql.literal(value)})"
        for value in names
    ]
    return codes, at, texts


def _quantiles(name: str, values: pa.Array, bins: int) -> tuple[Ints, list[str]]:
    if pa.types.is_temporal(values.type):
        plain = values.cast(pa.timestamp("us"), safe=False)
        numbers = plain.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
    else:
        plain = None
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).copy()
    numbers[~values.is_valid().to_numpy(zero_copy_only=False)] = np.nan
    known = numbers[~np.isnan(numbers)]
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="higher"))
    codes = np.searchsorted(edges, numbers, side="right")
    codes[np.isnan(numbers)] = len(edges) + 1
    column = sql.name(name)
    # DuckDB takes NaN for larger than any number; here it is nothing known, as NULL is.
    has_nan = np.isnan(numbers[values.is_valid().to_numpy(zero_copy_only=False)]).any()
    below, unknown = "", f"{column} IS NULL"
    if has_nan:
        below, unknown = f" AND NOT isnan({column})", f"({column} IS NULL OR isnan({column}))"
    written = [_literal(edge, plain is not None) for edge in edges]
    texts = [
        f"{column} < {written[0]}",
        *(f"{column} >= {a} AND {column} < {b}" for a, b in itertools.pairwise(written)),
        f"{column} >= {written[-1]}{below}",
        unknown,
    ]
    return codes.astype(np.int64), texts


def _literal(edge: float, is_time: bool) -> str:
    if is_time:
        moment = np.datetime64(int(edge), "us")
        return f"TIMESTAMP '{str(moment).replace('T', ' ')}'"
    return f"{edge:.17g}"
