"""Compute how much of all errors lies in each slice, and in each value of a column."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql, stats
from slicedb.errors import CheckError, SliceError
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.show import numbers
from slicedb.show.numbers import count
from slicedb.show.tabular import Grid

_MOST_VALUES = 200
"""A column with more values than this does not group samples."""

_NOT_PREDICATE = re.compile(r"^\s*(select|with|from)\b|\b(order\s+by|limit)\b", re.IGNORECASE)


class Judged(Protocol):
    """Samples with a ground truth and a prediction, one row each."""

    @property
    def model(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def rows(self) -> pa.Table: ...
    @property
    def label(self) -> str: ...
    def errors_among(self, at: Ints, wrong: Bools) -> str: ...
    def members(self, slices: Mapping[str, Ints] | None) -> dict[str, Ints]: ...


@dataclass(frozen=True)
class SliceShare:
    """How much of all errors lies in one slice."""

    slice: str
    n: int
    n_errors: int
    share_of_samples: float
    share_of_errors: float
    low: float
    """Wilson bound of the share of errors."""
    high: float
    """Wilson bound of the share of errors."""
    lift: float
    """Share of errors over share of samples; 1 where errors fall evenly."""
    query: str
    """The slice's errors."""

    @property
    def is_heavy(self) -> bool:
        """Whether the whole interval lies above the slice's share of samples."""
        return self.low > self.share_of_samples


def share_grid(shares: Sequence[SliceShare], what: str = "errors", of: str = "errors") -> Grid:
    """Return one line per slice.

    Args:
        shares: the slices, in the order to print.
        what: the head of their number, such as "errors".
        of: what the shares are of, such as "errors" or "wrong".
    """
    share = numbers.percent
    rows = [
        [
            s.slice,
            f"{s.n_errors:,}",
            share(s.share_of_samples),
            share(s.share_of_errors),
            f"{share(s.low)} to {share(s.high)}",
            f"{s.lift:.2f}",
        ]
        for s in shares
    ]
    return Grid(["slice", what, "of samples", f"of {of}", "interval", "lift"], rows)


def check_scope(scope: str) -> None:
    """Refuse a query text that does not fit into a condition.

    Raises:
        CheckError: it selects, orders or limits.
    """
    if _NOT_PREDICATE.search(scope):
        raise CheckError(
            f"The scope {scope!r} is not a predicate.",
            "name it as a slice and say in_slice('name').",
        )


def all_shares(
    judged: Judged,
    wrong: Bools,
    slices: Mapping[str, Ints] | None,
    by: Sequence[str],
    scope: str,
    confidence: float,
) -> tuple[SliceShare, ...]:
    """Return the shares of slices and of the values of columns, the highest lift first."""
    shares = [
        *_slice_shares(judged, wrong, slices, scope, confidence),
        *_column_shares(judged, wrong, by, scope, confidence),
    ]
    return tuple(sorted(shares, key=lambda s: (-s.lift, -s.n_errors, s.slice)))


def _slice_shares(
    judged: Judged,
    wrong: Bools,
    slices: Mapping[str, Ints] | None,
    scope: str,
    confidence: float,
) -> list[SliceShare]:
    return [
        _share(judged, wrong, name, at, f"in_slice({sql.literal(name)})", scope, confidence)
        for name, at in judged.members(slices).items()
        if len(at)
    ]


def _column_shares(
    judged: Judged, wrong: Bools, by: Sequence[str], scope: str, confidence: float
) -> list[SliceShare]:
    result = []
    for column in by:
        coded = pc.dictionary_encode(judged.rows[column].combine_chunks(), null_encoding="encode")
        values = coded.dictionary.to_pylist()
        if len(values) > _MOST_VALUES:
            raise SliceError(
                f"The column '{column}' has {count(len(values), 'value')}.",
                f"name columns of at most {_MOST_VALUES}, or make slices of ranges.",
            )
        codes = coded.indices.to_numpy(zero_copy_only=False)
        for code, value in enumerate(values):
            text = sql.equals(column, value)
            if column == "label" and judged.label != column:  # another truth stands in its place
                text = f"{judged.label} = {sql.literal(value)}"
            at = np.flatnonzero(codes == code)
            result.append(_share(judged, wrong, text, at, text, scope, confidence))
    return result


def _share(
    judged: Judged,
    wrong: Bools,
    name: str,
    at: Ints,
    text: str,
    scope: str,
    confidence: float,
) -> SliceShare:
    total, inside = int(wrong.sum()), int(wrong[at].sum())
    low, high = stats.wilson(inside, total, confidence)
    of_samples = len(at) / judged.n
    of_errors = inside / total if total else float("nan")
    query = sql.conjunction(scope, text, judged.errors_among(at, wrong))
    return SliceShare(
        name,
        len(at),
        inside,
        of_samples,
        of_errors,
        float(low),
        float(high),
        of_errors / of_samples,
        query,
    )
