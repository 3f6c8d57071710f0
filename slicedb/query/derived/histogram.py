"""Histogram: how a column of numbers or times is distributed in a query, and among all samples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from slicedb import sql
from slicedb.errors import QueryError
from slicedb.query.derived import inside, texts
from slicedb.query.run.plan import Plan
from slicedb.schema import Row
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Part, Tabular

if TYPE_CHECKING:
    from slicedb.query.query import Query

MOST_BINS = 1000
_SIZES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_WHOLE = (*_SIZES, *(f"U{name}" for name in _SIZES))
_REAL = ("FLOAT", "DOUBLE", "DECIMAL")
_TIMES = ("DATE", "TIMESTAMP")
_BAR = 30
"""Cells of the longest bar."""

Edge: TypeAlias = "float | datetime"


@dataclass(frozen=True)
class Bin:
    """One bin."""

    low: Edge | None
    """Its least value; None in the bin of everything below the others."""
    high: Edge | None
    """Its end, which belongs to the next bin; None in the bin of everything above the others."""
    n: int
    """Samples of the query."""
    overall: int
    """All samples."""
    query: str
    """The samples of the query that are in it."""
    predicate: str
    """The samples that are in it, whatever the query."""


@dataclass(frozen=True)
class Histogram(Tabular):
    """How a column is distributed.

    The bins span what the middle 98 % of all values span, and half of that again on each side
    where there are values, so that a few extreme values do not press the others into one bin. Those
    extremes are in a bin of their own, open to its side.
    """

    text: str
    """The query."""
    column: str
    bins: tuple[Bin, ...]
    """Ascending and without gaps; open ones only where they hold samples."""
    n: int
    """Values in the query: samples, or elements where the column is a list."""
    overall: int
    n_null: int
    """Samples of the query without a value."""
    null_overall: int
    n_odd: int
    """Values of the query that are NaN or infinite, which are in no bin."""
    odd_overall: int
    least: Edge | None
    """Of all samples; None where none has a value."""
    most: Edge | None

    def to_arrow(self) -> pa.Table:
        """Return one row per bin: low, high, n, overall and query."""
        names = ("low", "high", "n", "overall", "query")
        rows = [{name: getattr(entry, name) for name in names} for entry in self.bins]
        kind = pa.timestamp("us") if isinstance(self.least, datetime) else pa.float64()
        kinds = {"low": kind, "high": kind, "n": pa.int64(), "overall": pa.int64()}
        return pa.Table.from_pylist(rows, pa.schema([*kinds.items(), ("query", pa.string())]))

    def parts(self) -> Iterable[Part]:
        """Yield how many values there are, and a table with a bar for each bin."""
        span = f" from {_said(self.least)} to {_said(self.most)}" if self.least is not None else ""
        yield f"{numbers.count(self.n, 'value')} of {self.overall:,}{span}: {self.text or 'all'}"
        top = max((entry.n for entry in self.bins), default=0) or 1
        rows = [
            (_range(entry), entry.n, entry.overall, "█" * math.ceil(entry.n / top * _BAR))
            for entry in self.bins
        ]
        yield Grid([self.column, "n", "overall", ""], rows, "<>><")
        for n, overall, what in (
            (self.n_null, self.null_overall, "NULL"),
            (self.n_odd, self.odd_overall, "NaN or infinite"),
        ):
            if overall:
                yield f"{what}: {n:,} of {overall:,}"


def kind_of(query: Query, column: str) -> tuple[str, bool]:
    """Return the type of a column and whether it reads status; only numbers and times pass.

    Raises:
        QueryError: it has neither numbers nor times.
    """
    kind, reads_status = inside.kind_of(query, column)
    if not kind.removesuffix("[]").startswith((*_WHOLE, *_REAL, *_TIMES)) or kind.endswith("[][]"):
        raise QueryError(
            f"'{column}' is of type {kind.split('(')[0]}, and a histogram is of numbers or times.",
            "facets() counts other values.",
            text=query.text,
        )
    return kind, reads_status


def tables(i: int, kind: str, bins: int, scale: dict[str, float | None] | None = None) -> str:
    """Return the tables that a statement counts column `f<i>` in: ends, width and counts.

    Where the ends `lo` and `hi` and the width `w` are known, `scale` has them.

    A bin is found by division and then held against its edges `lo + w * i`, which Python works out
    by the same two operations: the query of a bin gives exactly the samples that it counts.

    Raises:
        QueryError: `bins` is not from 1 to 1000.
    """
    if not 1 <= bins <= MOST_BINS:
        raise QueryError(f"histogram(bins={bins}) is not possible.", f"take 1 to {MOST_BINS:,}.")
    is_list = kind.endswith("[]")
    value = f"unnest(f{i})" if is_list else f"f{i}"
    value = f"epoch_us(CAST({value} AS TIMESTAMP))" if _is_time(kind) else value
    if kind.removesuffix("[]").startswith(_WHOLE):
        lo, hi = "floor(lo)", "ceil(hi)"
        # Whole numbers up to `hi` itself: from lo to hi + 1 in steps of a whole width.
        width = f"greatest(1.0, ceil((hi - lo + 1) / {bins}))"
    else:
        lo, hi = "lo", "hi"
        # Never below the distance of neighbouring doubles, so that the edges ascend.
        width = f"greatest(hi / {bins} - lo / {bins}, greatest(abs(lo), abs(hi)) * 4.5e-16, 1e-300)"
    slot = "floor((x - lo) / w)"
    return f"""all{i} AS MATERIALIZED (SELECT inside, CAST({value} AS DOUBLE) AS x FROM base),
    values{i} AS MATERIALIZED (SELECT inside, x FROM all{i} WHERE isfinite(x)),
    {_measured(i, lo, hi, width) if scale is None else _known(i, scale)},
    placed{i} AS (SELECT inside, CASE WHEN x < lo THEN -1 WHEN x > hi THEN {bins}
        ELSE least({slot} - CAST(x < lo + w * {slot} AS INTEGER)
        + CAST(x >= lo + w * ({slot} + 1) AS INTEGER), {bins} - 1) END AS slot
        FROM values{i}, scale{i}),
    counts{i} AS (SELECT CAST(slot AS INTEGER) AS slot, count(*) AS o,
        count(*) FILTER (inside) AS n FROM placed{i} GROUP BY 1)"""


def _known(i: int, scale: dict[str, float | None]) -> str:
    """Return the table of ends and width that are known."""
    ends = (f"{sql.literal(scale[name], doubles=True)} AS {name}" for name in ("lo", "hi", "w"))
    return f"scale{i} AS (SELECT NULL AS a, NULL AS z, {', '.join(ends)})"


def _measured(i: int, lo: str, hi: str, width: str) -> str:
    """Return the tables that find ends and width."""
    return f"""span{i} AS (SELECT min(x) AS a, max(x) AS z, quantile_cont(x, [0.01, 0.99]) AS ends
        FROM values{i}),
    middle{i} AS (SELECT a, z, ends[1] AS p, ends[2] AS q FROM span{i}),
    ends{i} AS (SELECT a, z, CASE WHEN p < q THEN greatest(a, p - (q / 2 - p / 2)) ELSE a END AS lo,
        CASE WHEN p < q THEN least(z, q + (q / 2 - p / 2)) ELSE z END AS hi FROM middle{i}),
    whole{i} AS (SELECT a, z, {lo} AS lo, {hi} AS hi FROM ends{i}),
    scale{i} AS MATERIALIZED (SELECT a, z, lo, hi, {width} AS w FROM whole{i})"""


def figures(i: int) -> str:
    """Return what a statement lists of the tables of one histogram."""
    return f"""(SELECT list({{slot: slot, n: n, o: o}}) FROM counts{i}) AS counts{i},
    (SELECT {{a: a, z: z, lo: lo, hi: hi, w: w}} FROM scale{i}) AS scale{i},
    (SELECT {{n: count(*) FILTER (inside), o: count(*)}} FROM base WHERE f{i} IS NULL) AS nulls{i},
    (SELECT {{n: count(*) FILTER (inside), o: count(*)}} FROM all{i}
        WHERE x IS NOT NULL AND NOT isfinite(x)) AS odd{i}"""


def made(plan: Plan, column: str, kind: str, bins: int, row: Row, i: int) -> Histogram:
    """Return one histogram from what a statement has counted."""
    scale, nulls, odd = (row[f"{name}{i}"] for name in ("scale", "nulls", "odd"))
    counts = {c["slot"]: (c["n"], c["o"]) for c in row[f"counts{i}"] or ()}
    n, overall = (sum(pair[i] for pair in counts.values()) for i in (0, 1))
    edge = _edge_of(kind)

    def bin_of(slot: int, low: float | None, high: float | None, is_last: bool) -> Bin:
        condition = _condition(column, kind, low, high, is_last)
        start, end = (None if e is None else edge(e) for e in (low, high))
        figures = counts.get(slot, (0, 0))
        return Bin(start, end, *figures, texts.narrowed(plan, condition), condition)

    listed: list[Bin] = []
    if counts:
        lo, hi, w = scale["lo"], scale["hi"], scale["w"]
        last = min(max(0, *(slot for slot in counts if slot < bins), 0), bins - 1)
        if -1 in counts:
            listed.append(bin_of(-1, None, lo, False))
        for slot in range(last + 1):
            # The last bin ends at the greatest value inside the span, which belongs to it.
            is_last = slot == last
            listed.append(
                bin_of(slot, lo + w * slot, hi if is_last else lo + w * (slot + 1), is_last)
            )
        if bins in counts:
            listed.append(bin_of(bins, hi, None, False))
    least, most = (None if not counts else edge(scale[name]) for name in ("a", "z"))
    return Histogram(
        plan.text,
        column,
        tuple(listed),
        n,
        overall,
        nulls["n"],
        nulls["o"],
        odd["n"],
        odd["o"],
        least,
        most,
    )


def _is_time(kind: str) -> bool:
    return kind.startswith(_TIMES)


def _edge_of(kind: str) -> Any:
    """Return what makes an edge of a number: itself, or the moment it is of, in microseconds."""
    return _moment if _is_time(kind) else float


def _moment(micros: float) -> datetime:
    start = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    return start + timedelta(microseconds=math.ceil(micros))  # a value is a whole number of them


def _condition(column: str, kind: str, low: float | None, high: float | None, last: bool) -> str:
    """Return the predicate of a bin; of a list, that an element is in it."""
    is_list = kind.endswith("[]")
    value = "x" if is_list else inside.enclosed(column)

    def written(end: float) -> str:
        return sql.literal(_edge_of(kind)(end), doubles=True)

    if low is None:
        assert high is not None
        parts = [f"{value} < {written(high)}", *_finite(value, kind)]
    elif high is None:
        # NaN is above everything to DuckDB, and in no bin.
        parts = [f"{value} > {written(low)}", *_finite(value, kind)]
    else:
        end = f"{value} {'<=' if last else '<'} {written(high)}"
        parts = [f"{value} >= {written(low)}", end]
    condition = " AND ".join(parts)
    if not is_list:
        return condition
    return f"len(list_filter({inside.enclosed(column)}, x -> {condition})) > 0"


def _finite(value: str, kind: str) -> list[str]:
    is_real = kind.startswith(("FLOAT", "DOUBLE"))
    return [f"isfinite({value})"] if is_real else []


def _said(edge: Edge | None) -> str:
    if isinstance(edge, datetime):
        return f"{edge:%Y-%m-%d %H:%M:%S}"
    return "" if edge is None else numbers.number(edge)


def _range(entry: Bin) -> str:
    if entry.low is None:
        return f"< {_said(entry.high)}"
    if entry.high is None:
        return f"> {_said(entry.low)}"
    return f"{_said(entry.low)} - {_said(entry.high)}"
