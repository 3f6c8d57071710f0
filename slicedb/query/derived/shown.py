"""What is shown of a query: pages of its samples, and counts of their values."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from slicedb.errors import QueryError, suggesting
from slicedb.query.derived import texts
from slicedb.query.run.plan import Plan
from slicedb.query.run.session import MOST_KEPT, Session

if TYPE_CHECKING:
    from slicedb.query.derived.facets import Facets
    from slicedb.query.derived.histogram import Histogram
    from slicedb.query.derived.summary import Summary
    from slicedb.query.query import Query

_FIRST = 1000
"""Places from the first on that are found without the order of all."""


@suggesting
class Shown:
    """The part of a query that a page of pictures asks: places of its order, values, bins."""

    if TYPE_CHECKING:

        @property
        def session(self) -> Session: ...
        def plan(self) -> Plan: ...
        def _rows(self, verb: str) -> Plan: ...
        def _keys(self, plan: Plan) -> np.ndarray: ...
        def pinned(self, *plans: Plan) -> Query: ...

    @property
    def _query(self) -> Query:
        return cast("Query", self)

    @property
    def awaits_order(self) -> bool:
        """Whether pages beyond the first places still have to sort all samples: see `keys`."""
        plan = self.plan()
        is_sorted = plan.is_rows and plan.is_steady and plan.bound.tree.order is not None
        return is_sorted and plan not in self.session.members

    @property
    def version(self) -> str:
        """What the answer rests on, in a few characters: another one once that has changed."""
        plan = self.plan()
        tables = sorted(plan.pool.catalog.versions.items())
        return blake2b(repr(tables).encode(), digest_size=6).hexdigest()

    def _kept_keys(self, plan: Plan) -> np.ndarray:
        """Return the keys, which others may hold too: they are not to be written to."""
        if not plan.is_steady:
            return self._keys(plan)
        return self.session.members.get(plan, lambda: self._keys(plan))

    def page(self, a: int, b: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the samples at the places a to b of the order, b left out.

        The order is worked out once and kept while the tables that it rests on do not change, so
        that a further page costs milliseconds, wherever it lies. Beyond the end there are no rows.
        Of a SELECT that lists its columns the whole result is kept, see `kept`.

        Args:
            a: the first place, from 0.
            b: the place behind the last.
            columns: columns of samples, or expressions over them such as `v3.loss`; None takes the
                columns that the query shows.

        Raises:
            QueryError: a is negative, b lies before a, a column is named twice, or columns of
                samples are asked of a query that gives none.
        """
        from slicedb.query.derived import paging

        if not 0 <= a <= b:
            raise QueryError(f"page({a}, {b}) is no range of places.", "take 0 <= a <= b.")
        plan = self.plan() if columns is None else self._rows("page")
        if columns is None and not plan.bound.narrows:
            return self.kept().slice(a, b - a)
        wanted = [name for name, _ in plan.columns] if columns is None else list(columns)
        return paging.page(self._query, self._keys_at(plan, a, b), plan, wanted)

    def _keys_at(self, plan: Plan, a: int, b: int) -> np.ndarray:
        """Return the keys at places a to b of the order."""
        is_known = plan.is_steady and plan in self.session.members
        if not is_known and plan.bound.tree.order is not None and b <= _FIRST:
            # To sort a million rows takes long, and the best few of them are found without.
            then = self.pinned(plan)
            if not plan.is_steady:
                return then[a:b].keys()
            return self.session.firsts.get(plan, lambda: then[:_FIRST].keys())[a:b]
        return self._kept_keys(plan)[a:b]

    def kept(self) -> pa.Table:
        """Return the whole result as `to_arrow`, kept while the tables that it reads do not change.

        Of samples each is there once, as in `ids`. It is others' too, so it is not to be written
        to; results of more than 64 MB, and those with `random()` or a clock, are made anew.
        """
        plan = self.plan()
        query = self._query
        whole = query.beside(texts.part(plan, None, 0)) if plan.is_rows else query
        if not plan.is_steady:
            return whole.to_arrow()
        table = self.session.results.get(plan, whole.to_arrow)
        if table.nbytes > MOST_KEPT:
            self.session.results.drop(plan)
        return table

    def facets(self, by: Sequence[str] | str | None = None, *, most: int = 20) -> Facets:
        """Count the values of columns in this query and among all samples, in one statement.

        Args:
            by: columns of samples, lists too, or expressions such as `v3.prediction`; by default
                label, split and tags.
            most: values listed per column; the others are counted.

        Raises:
            QueryError: a column has no values to count, or `most` is below 1.
        """
        from slicedb.query.derived import summary
        from slicedb.query.derived.facets import BY

        named = BY if by is None else [by] if isinstance(by, str) else list(by)
        if not named:
            raise QueryError("facets() names no column.", "name columns as in facets(['label']).")
        return summary.summary(self._query, self._rows("facets"), named, [], most, 1).facets

    def histogram(self, column: str, *, bins: int = 20) -> Histogram:
        """Count a column of numbers or times in bins, in this query and among all samples.

        Args:
            column: a column of samples, or an expression such as `v3.loss`.
            bins: how many, at most; values far outside are in a bin of their own at either end.

        Raises:
            QueryError: the column has neither numbers nor times, or `bins` is out of range.
        """
        from slicedb.query.derived import summary

        plan = self._rows("histogram")
        return summary.summary(self._query, plan, [], [column], 1, bins).histograms[0]

    def summary(
        self,
        facets: Sequence[str] | str | None = None,
        histograms: Sequence[str] | str = (),
        *,
        most: int = 20,
        bins: int = 20,
    ) -> Summary:
        """Count values and bins of several columns, here and among all samples, in one statement.

        What `facets` and `histogram` count one after the other, counted together.

        Args:
            facets: columns whose values are counted, see `facets`; by default label, split and
                tags.
            histograms: columns of numbers or times that are counted in bins, see `histogram`.
            most: values listed per column; the others are counted.
            bins: how many, at most; values far outside are in a bin of their own at either end.

        Raises:
            QueryError: a column does not fit or is named twice, `most` is below 1, or `bins` is out
                of range.
        """
        from slicedb.query.derived import summary
        from slicedb.query.derived.facets import BY

        values = BY if facets is None else [facets] if isinstance(facets, str) else list(facets)
        numbers = [histograms] if isinstance(histograms, str) else list(histograms)
        return summary.summary(self._query, self._rows("summary"), values, numbers, most, bins)
