"""Facets: how often each value of some columns is in a query, and among all samples."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

BY = ("label", "split", "tags")
"""The columns where a call names none."""
_NO_VALUES = ("STRUCT", "TUPLE", "MAP", "BLOB", "UNION")
_PLAIN = re.compile(r"(VARCHAR|BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER)(\[\])?")
BOXES = re.compile(r'STRUCT\((.*, )?"?label"? VARCHAR')


@dataclass(frozen=True)
class Value:
    """One value of a facet."""

    value: object
    """None stands for samples without a value, [] for those with an empty list."""
    n: int
    """Samples of the query that have it."""
    overall: int
    """All samples that have it."""
    query: str
    """The samples of the query that have it."""
    predicate: str
    """The samples that have it, whatever the query: what a click on it adds."""


@dataclass(frozen=True)
class Facet:
    """The values of one column, the most frequent ones in the query first."""

    column: str
    values: tuple[Value, ...]
    n_values: int
    """Distinct values among all samples, NULL and the empty list left out."""
    n_rest: int
    """Samples of the query with values that are not listed; of a list, how often they stand."""
    is_list: bool = False
    """Whether a sample may have several of the values, so that counts add up to more."""

    def __getitem__(self, value: object) -> Value:
        """Return one value.

        Raises:
            KeyError: it is not listed.
        """
        for entry in self.values:
            if entry.value == value and type(entry.value) is type(value):
                return entry
        raise KeyError(f"The facet '{self.column}' does not list {value!r}.")


@dataclass(frozen=True)
class Facets(Tabular):
    """Facets of a query."""

    text: str
    """The query."""
    n: int
    """Samples of the query."""
    overall: int
    """Samples that the query was asked of."""
    facets: tuple[Facet, ...]

    def __getitem__(self, column: str) -> Facet:
        """Return the facet of a column.

        Raises:
            KeyError: there is none.
        """
        for facet in self.facets:
            if facet.column == column:
                return facet
        raise KeyError(f"No facet '{column}': there are {', '.join(f.column for f in self.facets)}")

    def to_arrow(self) -> pa.Table:
        """Return one row per value: column, value as text (NULL is null), n, overall and query."""
        rows = [
            {
                "column": facet.column,
                "value": None if v.value is None else numbers.value(v.value),
                "n": v.n,
                "overall": v.overall,
                "query": v.query,
            }
            for facet in self.facets
            for v in facet.values
        ]
        kinds = {"column": "string", "value": "string", "n": "int64"}
        kinds |= {"overall": "int64", "query": "string"}
        return pa.Table.from_pylist(
            rows, pa.schema([(n, getattr(pa, k)()) for n, k in kinds.items()])
        )

    def parts(self) -> Iterable[Part]:
        """Yield how many samples there are, and a table for each column."""
        yield f"{numbers.count(self.n, 'sample')} of {self.overall:,}: {self.text or 'all'}"
        for facet in self.facets:
            rows = [(_called(v.value), v.n, v.overall, _share(v.n, self.n)) for v in facet.values]
            yield ""
            yield Grid([facet.column, "n", "overall", "share"], rows, "<>>>")
            listed = sum(v.value is not None and v.value != [] for v in facet.values)
            if facet.n_values > listed:
                more = numbers.count(facet.n_values - listed, "more value")
                yield f"... {more}, {facet.n_rest:,} in the query"
            if facet.is_list:
                yield "A sample may have several of these values."


@dataclass(frozen=True)
class Counted:
    """One column whose values are to be counted."""

    column: str
    """As it was named."""
    expression: str
    """What is counted: of a list of boxes their labels, else the column."""
    is_list: bool
    names_status: bool
    """Whether it reads status."""
    is_plain: bool
    """Whether its values are texts, whole numbers or truths, which Python orders as DuckDB does."""


def counted(query: Query, column: str) -> Counted:
    """Return how the values of a column are counted.

    Raises:
        QueryError: it has no values to count.
    """
    kind, names_status = inside.kind_of(query, column)
    if BOXES.match(kind) and kind.endswith("[]"):
        labels = f"[o.label FOR o IN {inside.enclosed(column)}]"
        return Counted(column, labels, True, names_status, True)
    if kind.startswith(_NO_VALUES) or kind.endswith("][]"):
        raise QueryError(
            f"'{column}' is of type {kind.split('(')[0]}, which has no values to count.",
            "name a column of texts, numbers, dates, boxes or lists of them.",
            text=query.text,
        )
    is_plain = bool(_PLAIN.fullmatch(kind))
    return Counted(column, column, kind.endswith("[]"), names_status, is_plain)


def tables(i: int, each: Counted) -> str:
    """Return the tables that a statement counts one facet in."""
    return _group(i, each.is_list)


def _group(i: int, is_list: bool) -> str:
    """Return the table of one facet: value, whether it stands for an empty list, and counts."""
    counts = "count(*) AS o, count(*) FILTER (inside) AS n"
    if not is_list:
        rows = f"SELECT f{i} AS v, false AS is_empty, {counts} FROM base GROUP BY f{i}"
        return f"g{i} AS MATERIALIZED ({rows})"
    # A value that stands twice in a list counts its sample once; a NULL in a list is no value.
    each = f"SELECT inside, unnest(list_distinct(f{i})) AS v FROM base"
    filled = f"len(list_distinct(f{i})) > 0"
    return (
        f"g{i} AS MATERIALIZED (SELECT v, false AS is_empty, {counts} FROM ({each}) GROUP BY v "
        f"UNION ALL SELECT NULL, f{i} IS NOT NULL, {counts} FROM base "
        f"WHERE f{i} IS NULL OR NOT {filled} GROUP BY 2)"
    )


def figures(i: int, most: int) -> str:
    """Return what a statement lists of the table of one facet."""
    named = f"FROM g{i} WHERE v IS NOT NULL"
    first = f"SELECT v, n, o {named} ORDER BY n DESC, o DESC, v LIMIT {most}"
    unnamed = f"FROM g{i} WHERE v IS NULL"
    return (
        f"(SELECT list({{v: v, n: n, o: o}}) FROM ({first})) AS v{i}, "
        f"(SELECT {{d: count(*), n: sum(n)}} {named}) AS d{i}, "
        f"(SELECT list({{e: is_empty, n: n, o: o}}) {unnamed}) AS e{i}"
    )


def made(plan: Plan, each: Counted, row: Row, i: int) -> Facet:
    """Return one facet from what a statement has counted."""

    def value(v: Any, n: int, overall: int) -> Value:
        predicate = condition(each.expression, v, each.is_list)
        return Value(v, n, overall, texts.narrowed(plan, predicate), predicate)

    # In the order asked for; a list that DuckDB gathers from ordered rows keeps no promise.
    listed = sorted(row[f"v{i}"] or [], key=lambda v: (-v["n"], -v["o"], str(v["v"])))
    values = [value(v["v"], v["n"], v["o"]) for v in listed]
    shown = sum(v.n for v in values)
    without = sorted(row[f"e{i}"] or [], key=lambda v: bool(v["e"]))
    values += [value([] if v["e"] else None, v["n"], v["o"]) for v in without]
    distinct = row[f"d{i}"]
    n_rest = int(distinct["n"] or 0) - shown
    return Facet(each.column, tuple(values), distinct["d"], n_rest, each.is_list)


def condition(column: str, value: object, is_list: bool = False) -> str:
    """Return the predicate that a column has a value, or that a list has it.

    >>> condition("label", "cat"), condition("tags", "night", is_list=True)
    ("label = 'cat'", "list_contains(tags, 'night')")
    """
    column = inside.enclosed(column)
    if value is None:
        return f"{column} IS NULL"
    if value == [] and is_list:
        return f"len(list_distinct({column})) = 0"
    written = sql.literal(value, doubles=True)
    return f"list_contains({column}, {written})" if is_list else f"{column} = {written}"


def _called(value: object) -> object:
    return "NULL" if value is None else "(empty list)" if value == [] else value


def _share(n: int, of: int) -> str:
    return numbers.percent(n / of) if of else "-"
