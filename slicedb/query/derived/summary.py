"""Count values and bins of several columns under a query and overall, in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.errors import QueryError
from slicedb.query.derived import facets as values
from slicedb.query.derived import histogram as bars
from slicedb.query.derived import inside, overall
from slicedb.query.derived.facets import Facet, Facets
from slicedb.query.derived.histogram import Histogram
from slicedb.query.run.plan import Plan
from slicedb.show.tabular import Part, Tabular

if TYPE_CHECKING:
    from slicedb.query.query import Query


@dataclass(frozen=True)
class Summary(Tabular):
    """Facets and histograms of a query, counted together."""

    text: str
    """The query."""
    n: int
    """Samples of the query."""
    overall: int
    """Samples that the query was asked of."""
    facets: Facets
    histograms: tuple[Histogram, ...]

    def __getitem__(self, column: str) -> Facet | Histogram:
        """Return the histogram of a column, or its facet where it has none.

        Raises:
            KeyError: there is neither.
        """
        found = next((h for h in self.histograms if h.column == column), None)
        return self.facets[column] if found is None else found

    def to_arrow(self) -> pa.Table:
        """Return one row per value and bin: column, value, n, overall, query, and a bin's ends.

        The ends, `low` and `high`, are null in rows of values, and texts where they are times.
        """
        values = self.facets.to_arrow().to_pylist()
        rows = [{**row, "low": None, "high": None} for row in values]
        for histogram in self.histograms:
            for row in histogram.to_arrow().to_pylist():
                ends = {name: None if row[name] is None else str(row[name]) for name in _ENDS}
                rows.append({**row, "column": histogram.column, "value": None, **ends})
        texts, counts = pa.string(), pa.int64()
        fields = [("column", texts), ("value", texts), ("low", texts), ("high", texts)]
        fields += [("n", counts), ("overall", counts), ("query", texts)]
        return pa.Table.from_pylist(rows, pa.schema(fields))

    def parts(self) -> Iterable[Part]:
        """Yield the facets, then the histograms."""
        yield from self.facets.parts()
        for histogram in self.histograms:
            yield ""
            yield from histogram.parts()


_ENDS = ("low", "high")


def summary(
    query: Query,
    plan: Plan,
    by: Sequence[str],
    numbers: Sequence[str],
    most: int,
    bins: int,
) -> Summary:
    """Count values and bins of columns under a query and overall, in one statement.

    Args:
        query: any query of samples.
        plan: its plan.
        by: expressions over samples whose values are counted.
        numbers: expressions over samples that are counted in bins.
        most: values listed of each of `by`.
        bins: of each of `numbers`, at most; whole numbers get bins of whole width.

    Raises:
        QueryError: a column is named twice, does not fit, or the query has chance in it; `most` is
            below 1, or `bins` not from 1 to 1000.
    """
    for columns, verb in ((by, "facets"), (numbers, "histogram")):
        if twice := next((c for i, c in enumerate(columns) if c in columns[:i]), None):
            raise QueryError(f"{verb}() names the column '{twice}' twice.", "name it once.")
    if most < 1:
        raise QueryError(f"facets(most={most}) lists no value.", "take 1 or more.")
    inside.check_steady(plan, "histogram" if numbers and not by else "facets")
    each = [values.counted(query, column) for column in by]
    kinds = [bars.kind_of(query, column) for column in numbers]
    names_status = any(one.names_status for one in each) or any(reads for _, reads in kinds)
    row = _Counting(plan, each, [kind for kind, _ in kinds], numbers, bins, names_status).row(
        query, most
    )
    listed = tuple(values.made(plan, one, row, i) for i, one in enumerate(each))
    histograms = tuple(
        bars.made(plan, column, kind, bins, row, i)
        for i, (column, (kind, _)) in enumerate(zip(numbers, kinds), len(by))
    )
    n, total = row["n"], row["overall"]
    return Summary(query.text, n, total, Facets(query.text, n, total, listed), histograms)


@dataclass(frozen=True)
class _Counting:
    """Writes the statements of a summary."""

    plan: Plan
    each: Sequence[values.Counted]
    kinds: Sequence[str]
    """The types of `numbers`."""
    numbers: Sequence[str]
    bins: int
    names_status: bool

    @property
    def _columns(self) -> list[str]:
        return [*(one.expression for one in self.each), *self.numbers]

    def row(self, query: Query, most: int) -> overall.Row:
        """Return the figures, with up to `most` values of each facet.

        What is counted among all samples is the same for each query of the same versions: the first
        query counts it, and those that follow count their own samples alone.
        """
        every = query.pinned(self.plan).beside(
            f"SELECT key{inside.named(self._columns)} FROM samples"
        )
        base, session = every.plan(), query.session
        then = query.pinned(self.plan, base)
        if not (base.is_steady and all(one.is_plain for one in self.each)):
            return self._asked(then, most)
        versions = tuple(sorted(base.pool.catalog.versions.items()))
        slot = (base.text, versions, self.plan.bound.unfiltered, self.bins)
        known, n = session.overalls.find(slot), len(self.each)
        if known is None:
            row = self._asked(then, max(most, overall.MOST_VALUES))
            known = overall.kept(row, n, len(self.kinds))
            if known is not None:
                session.overalls.put(slot, known)
        else:
            row = overall.joined(self._asked(then, overall.MOST_VALUES, known), known)
        return overall.cut(row, n, most)

    def _asked(self, query: Query, most: int, known: overall.Overall | None = None) -> overall.Row:
        """Return what a statement counts: of the query alone where the rest is known."""
        first = len(self.each)
        scales = [each["scale"] for each in known.histograms] if known else [None] * len(self.kinds)
        columns, is_alone = self._columns, known is not None
        base = inside.listing(self.plan, columns, self.names_status, alone=is_alone)
        tables = [values.tables(i, one) for i, one in enumerate(self.each)]
        tables += [
            bars.tables(i, kind, self.bins, scale)
            for i, (kind, scale) in enumerate(zip(self.kinds, scales), first)
        ]
        figures = [values.figures(i, most) for i in range(first)]
        figures += [bars.figures(i) for i in range(first, first + len(self.kinds))]
        text = (
            f"WITH {', '.join([f'base AS MATERIALIZED ({base})', *tables])} "
            "SELECT (SELECT count(*) FILTER (inside) FROM base) AS n, "
            f"{', '.join(['(SELECT count(*) FROM base) AS overall', *figures])}"
        )
        row: overall.Row = query.beside(text).to_arrow().to_pylist()[0]
        return row
