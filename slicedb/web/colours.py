"""The colour of each point of a map by any expression, and the legend that says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from slicedb.query.derived import inside
from slicedb.query.derived.facets import BOXES, Facet, Value, condition
from slicedb.query.derived.histogram import Edge, Histogram
from slicedb.show import numbers
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.web.cloud import Cloud

COLOURS = 8
"""Categories that have a colour unless the reader chooses others."""
LISTED = 60
"""Categories that the legend lists."""
SHADES = 240
"""Of the ramp of numbers."""
BELOW, ABOVE = SHADES, SHADES + 1
"""Codes of numbers beyond the ends of the ramp."""
REST, NONE = 254, 255
"""Codes of categories that are not listed, and of no value."""
_BINS = 8
_FEW = 8
"""Distinct whole numbers that are categories, in their order."""
_WHOLE = tuple(
    f"{sign}{size}"
    for sign in ("", "U")
    for size in "TINYINT SMALLINT INTEGER BIGINT HUGEINT".split()
)
_NUMBERS = (*_WHOLE, "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIMESTAMP")

Kind = Literal["categories", "ramp"]


@dataclass(frozen=True)
class Row:
    """One row of a legend: the points whose code is in a range."""

    label: str
    first: int
    """Code of its first colour."""
    last: int
    """Code of its last colour."""
    query: str
    """The samples that it stands for."""


@dataclass(frozen=True, eq=False)
class Colours:
    """The colours of the points of a map."""

    by: str
    kind: Kind
    codes: np.ndarray
    """uint8 (n,): of each point. Of categories the place among those listed, the eight most
    frequent first; of numbers 0 to 239 are shades."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    n_values: int = 0
    """Of categories, those included that the legend does not list."""


def colours(db: Database, cloud: Cloud, by: str) -> Colours:
    """Return the colours of points by an expression over samples.

    Texts and truth values are categories: of those that are listed the page colours the eight most
    frequent ones, or those that the reader chooses. Numbers and times are shades from low to high,
    with a row of the legend for each of some bins. The values of a list are taken together, as one
    category.

    Args:
        db: gives the values.
        cloud: the points.
        by: such as `label`, `v3.loss` or `in_slice('night')`; empty is one colour for all.

    Raises:
        QueryError: the expression is wrong, or has no values that a colour could stand for.
    """
    if not by.strip():
        codes = np.zeros(len(cloud), np.uint8)
        return Colours("", "categories", codes, (Row("all samples", 0, 0, ""),))
    kind, _ = inside.kind_of(db.query(""), by)
    if kind.endswith("[]"):
        return _categories(db, cloud, by, _together(by, kind))
    if not kind.startswith(_NUMBERS):
        return _categories(db, cloud, by, by)
    if kind.startswith(_WHOLE):
        facet = db.query("").facets([by], most=_FEW).facets[0]
        if facet.n_values <= _FEW:
            return _levels(db, cloud, by, facet)
    return _ramp(db, cloud, by)


def _together(by: str, kind: str) -> str:
    """Return the values of a list as one text, of boxes their labels; others as they are."""
    column = inside.enclosed(by)
    if BOXES.match(kind):
        column = f"[o.label FOR o IN {column}]"
    elif not kind.startswith((*_NUMBERS, "VARCHAR", "BOOLEAN")) or kind.endswith("][]"):
        return by  # facets say what is wrong with it
    return f"array_to_string(list_sort(list_distinct({column})), ', ')"


def _categories(db: Database, cloud: Cloud, by: str, expression: str) -> Colours:
    facet = db.query("").facets([expression], most=LISTED).facets[0]
    listed = [v for v in facet.values if v.value is not None]
    # Colours go by name, so that they stay where counts change a little.
    listed[:COLOURS] = sorted(listed[:COLOURS], key=lambda v: str(v.value))
    codes = _codes(_values(db, cloud, expression), [v.value for v in listed])
    rows = [Row(_called(v.value), i, i, v.query) for i, v in enumerate(listed)]
    if facet.n_values > len(listed):
        rows.append(_rest(expression, facet.n_values - len(listed), listed))
    notes = []
    if expression != by:
        notes.append("The values of a list are taken together.")
    none = f"{inside.enclosed(expression)} IS NULL"
    return Colours(
        by, "categories", codes, (*rows, *_none(codes, none)), tuple(notes), facet.n_values
    )


def _rest(expression: str, n: int, listed: Sequence[Value]) -> Row:
    """Return the row of the values that are not listed."""
    some = " OR ".join(condition(expression, v.value) for v in listed)
    query = f"({inside.enclosed(expression)} IS NOT NULL AND NOT ({some}))"
    return Row(numbers.count(n, "more value"), REST, REST, query)


def _none(codes: np.ndarray, query: str) -> list[Row]:
    """Return the row of points without a value, if there are any."""
    return [Row("no value", NONE, NONE, query)] if (codes == NONE).any() else []


def _levels(db: Database, cloud: Cloud, by: str, facet: Facet) -> Colours:
    """Return few whole numbers as categories in their order, in shades from low to high."""
    listed = [v for v in facet.values if v.value is not None]
    listed.sort(key=lambda v: int(str(v.value)))
    shades = np.linspace(0, SHADES - 1, max(len(listed), 2)).round().astype(np.uint8)
    shade_of = np.full(256, NONE, np.uint8)
    shade_of[: len(shades)] = shades
    codes = shade_of[_codes(_values(db, cloud, by), [v.value for v in listed])]
    each = zip(listed, shades.tolist())
    rows = [Row(_called(v.value), shade, shade, v.query) for v, shade in each]
    none = _none(codes, f"{inside.enclosed(by)} IS NULL")
    return Colours(by, "ramp", codes, (*rows, *none))


def _codes(values: pa.ChunkedArray, listed: Sequence[object]) -> np.ndarray:
    """Return uint8 (n,): the place of each value among those listed, REST or NONE."""
    import pyarrow.compute as pc

    places = pc.index_in(values, value_set=pa.array(listed, type=values.type))
    named = pc.fill_null(places, REST)
    codes = pc.if_else(pc.is_null(values), NONE, named)
    return np.asarray(codes.to_numpy(zero_copy_only=False).astype(np.uint8))


def _ramp(db: Database, cloud: Cloud, by: str) -> Colours:
    histogram = db.query("").histogram(by, bins=_BINS)
    edges, rows = _bins(histogram)
    x = _numbers(_values(db, cloud, by))
    codes = np.full(len(x), NONE, np.uint8)
    if len(edges):
        known = np.isfinite(x)
        codes[known] = _shades(x[known], edges)
    none = f"{inside.enclosed(by)} IS NULL"
    if histogram.odd_overall:
        none = f"({none} OR NOT isfinite({inside.enclosed(by)}))"
    notes = (
        ("Extreme values share the shade of their end.",) if len(rows) >= max(len(edges), 1) else ()
    )
    return Colours(by, "ramp", codes, (*rows, *_none(codes, none)), notes)


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Return float64 (n,): numbers as they are, times in microseconds, NaN where null."""
    import pyarrow.compute as pc

    if pa.types.is_temporal(values.type):
        values = pc.cast(pc.cast(values, pa.timestamp("us"), safe=False), pa.int64())
    return np.asarray(pc.fill_null(pc.cast(values, pa.float64(), safe=False), np.nan).to_numpy())


def _bins(histogram: Histogram) -> tuple[np.ndarray, list[Row]]:
    """Return the edges of the bins, float64 (k + 1,), and the rows of the legend.

    The open bins at the ends have the two codes behind the shades.
    """
    closed = [b for b in histogram.bins if b.low is not None and b.high is not None]
    if not closed:
        return np.zeros(0), []
    width = SHADES // len(closed)
    rows = [
        Row(f"{_said(b.low)} – {_said(b.high)}", i * width, i * width + width - 1, f"({b.query})")
        for i, b in enumerate(closed)
    ]
    for b in histogram.bins:
        if b.low is None:
            rows.insert(0, Row(f"below {_said(b.high)}", BELOW, BELOW, f"({b.query})"))
        elif b.high is None:
            rows.append(Row(f"above {_said(b.low)}", ABOVE, ABOVE, f"({b.query})"))
    edges = [b.low for b in closed] + [closed[-1].high]
    return np.asarray([_number(edge) for edge in edges]), rows


def _shades(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return uint8 (n,): the shade of each value; beyond the ends BELOW and ABOVE."""
    n = len(edges) - 1
    width = SHADES // n
    place = np.clip(np.searchsorted(edges, x, "right") - 1, 0, n - 1)
    span = edges[place + 1] - edges[place]
    part = (x - edges[place]) / np.where(span > 0, span, 1.0)
    shade = place * width + np.clip((part * width).astype(np.int64), 0, width - 1)
    shade[x < edges[0]] = BELOW
    shade[x > edges[-1]] = ABOVE
    return np.asarray(shade.astype(np.uint8))


def _values(db: Database, cloud: Cloud, expression: str) -> pa.ChunkedArray:
    """Return the value of each point's sample."""
    text = f"SELECT key, {inside.enclosed(expression)} AS value FROM samples"
    table = db.query(text).to_arrow()
    places = cloud.places(table["key"].to_numpy())
    return table["value"].combine_chunks().take(arrow_array(places, places < 0))


def _called(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "(empty)" if value == "" else numbers.value(value)


def _said(edge: Edge | None) -> str:
    if isinstance(edge, datetime):
        return (
            f"{edge:%Y-%m-%d}"
            if edge == edge.replace(hour=0, minute=0, second=0, microsecond=0)
            else f"{edge:%Y-%m-%d %H:%M}"
        )
    return numbers.number(edge, 3)


def _number(edge: Edge | None) -> float:
    """Return an edge as `_numbers` has values."""
    if isinstance(edge, datetime):
        return (edge - datetime(1970, 1, 1)) / timedelta(microseconds=1)
    return np.nan if edge is None else float(edge)
