"""How each test stands: its last verdict, why, and the samples that speak against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from slicedb import schema, sql
from slicedb.errors import CheckError
from slicedb.expectations import Check, parse_check
from slicedb.metrics import find
from slicedb.runs.history import Runs, Trend, TrendPoint
from slicedb.runs.worst import worst
from slicedb.store import Store


@dataclass(frozen=True)
class Standing:
    """One test as it stands."""

    trend: Trend
    """The runs it was judged in, the oldest first."""
    message: str
    """What the last one says."""
    baseline: str | None
    left_out: int
    """Members of the slice without label or prediction."""
    metric: str
    """What is measured, "" where the expectation is not understood any more."""
    bound: float
    """What the value, or its difference to the baseline, is compared with; NaN where unknown."""
    worst: str
    """The query of the samples that speak against it, the worst first; "" where the slice is
    gone."""

    @property
    def last(self) -> TrendPoint:
        """Its last run."""
        return self.trend.points[-1]

    @property
    def name(self) -> str:
        """The slice and the expectation in one line."""
        return f"{self.trend.slice}: {self.trend.check}"


def standings(store: Store, slices: Mapping[str, str], last: int) -> tuple[Standing, ...]:
    """Return how each test stands, the failing ones first.

    Args:
        store: the database.
        slices: name to predicate of the slices that are registered.
        last: runs that are looked back on.
    """
    trends = list(Runs(store).trends(last=last))
    ids = [trend.points[-1].id for trend in trends]
    names = ["id", "check", "baseline", "message", "left_out"]
    rows = {}
    if ids:
        found = store.table(schema.TESTS, names, where=sql.is_in("id", ids)).to_pylist()
        rows = {row["id"]: row for row in found}
    made = []
    for trend, id in zip(trends, ids):
        row, point = rows[id], trend.points[-1]
        scope = slices.get(trend.slice, "")
        check = _parsed(row["check"])
        made.append(
            Standing(
                trend,
                row["message"] or "",
                row["baseline"],
                row["left_out"] or 0,
                "" if check is None else check.metric,
                math.nan if check is None else _bound(check),
                worst(store, scope, row["check"], point.model, row["baseline"]) if scope else "",
            )
        )
    order = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
    return tuple(sorted(made, key=lambda one: order.get(one.last.verdict, 0)))


def _parsed(text: str) -> Check | None:
    try:
        return parse_check(text)
    except CheckError:  # recorded with a plug-in that is not here
        return None


def _bound(check: Check) -> float:
    if check.baseline is None:
        return check.bound
    try:
        rises = find(check.metric).rises
    except CheckError:
        rises = True
    return -check.margin if rises else check.margin
