"""Read the recorded runs, and how each test fared over them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema, sql
from slicedb.errors import suggesting
from slicedb.judge.looks import asked
from slicedb.runs.table import read
from slicedb.show.charts import Point
from slicedb.show.numbers import number
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.store import Store

Status = Literal["new", "steady", "flaky by chance", "changed"]

LAST = 20
"""Runs a trend looks back on."""

_READ = "id run slice check model baseline verdict value low high n ran_at".split()
"""Columns of `tests` that trends read; not the messages."""

_BARS = "▁▂▃▄▅▆▇█"
_LETTERS = {"PASS": "P", "FAIL": "F", "INCONCLUSIVE": "?"}


class _Stored(TypedDict):
    """One row of the table `tests`."""

    id: str
    run: str
    slice: str
    check: str
    model: str
    baseline: str | None
    verdict: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    ran_at: datetime


@dataclass(frozen=True)
class TrendPoint:
    """A test in one run."""

    run: str
    model: str
    verdict: str
    value: float
    low: float
    high: float
    n: int
    ran_at: datetime
    id: str = ""
    """Of its row in the table `tests`."""

    def is_within(self, other: TrendPoint) -> bool:
        """Return whether the interval of either holds the other's value: no more than chance."""
        if np.isnan([self.value, other.value]).any():
            return False
        return bool(self.low <= other.value <= self.high or other.low <= self.value <= other.high)


@dataclass(frozen=True)
class Trend:
    """One test over the runs, the oldest first."""

    slice: str
    check: str
    """The expectation; the run's own baseline reads "baseline", and another truth is named."""
    points: tuple[TrendPoint, ...]
    truth: str | None = None
    """What the models were judged against, None where it is the ground truth."""

    def drawn(self) -> list[Point]:
        """Return the runs as a chart has them; an unknown number is None."""
        return [
            {
                "ran_at": f"{p.ran_at:%Y-%m-%d %H:%M}",
                "model": p.model,
                "verdict": p.verdict,
                "value": None if math.isnan(p.value) else p.value,
                "low": None if math.isnan(p.low) else p.low,
                "high": None if math.isnan(p.high) else p.high,
            }
            for p in self.points
        ]

    @property
    def flips(self) -> int:
        """How often the verdict differs from that of the run before."""
        return sum(a.verdict != b.verdict for a, b in zip(self.points, self.points[1:]))

    @property
    def flips_by_chance(self) -> int:
        """Those whose change of value lies within the interval of either run."""
        pairs = zip(self.points, self.points[1:])
        return sum(a.verdict != b.verdict and a.is_within(b) for a, b in pairs)

    @property
    def status(self) -> Status:
        """ "flaky by chance": it flips, and each time by no more than its interval."""
        if len(self.points) < 2:
            return "new"
        if not self.flips:
            return "steady"
        return "flaky by chance" if self.flips == self.flips_by_chance else "changed"

    @property
    def change(self) -> float:
        """The last value minus the first."""
        return self.points[-1].value - self.points[0].value

    @property
    def direction(self) -> str:
        """ "up" or "down" where the first and the last value are further apart than chance."""
        first, last = self.points[0], self.points[-1]
        if np.isnan(self.change) or first.is_within(last):
            return "flat"
        return "up" if self.change > 0 else "down"

    @property
    def verdicts(self) -> str:
        """One letter a run: P, F, or ? for INCONCLUSIVE."""
        return "".join(_LETTERS.get(p.verdict, "?") for p in self.points)

    @property
    def bars(self) -> str:
        """The values as bars, the lowest to the highest."""
        values = np.array([p.value for p in self.points])
        known = values[~np.isnan(values)]
        if not len(known):
            return ""
        low, span = known.min(), np.ptp(known)
        scaled = (values - low) / span if span > 0 else np.full(len(values), 0.5)
        return "".join(" " if np.isnan(x) else _BARS[round(x * 7)] for x in scaled)


@dataclass(frozen=True, repr=False)
class Trends(Tabular):
    """How the tests fared, one row per test."""

    trends: tuple[Trend, ...]

    def __iter__(self) -> Iterator[Trend]:
        return iter(self.trends)

    def __len__(self) -> int:
        return len(self.trends)

    def to_arrow(self) -> pa.Table:
        """Return one row per test."""
        rows = [
            {
                "slice": t.slice,
                "check": t.check,
                "runs": len(t.points),
                "verdicts": t.verdicts,
                **{name: getattr(t.points[-1], name) for name in ("value", "low", "high", "n")},
                **{name: getattr(t, name) for name in _OF_TREND},
                "models": [p.model for p in t.points],
                "values": [p.value for p in t.points],
                "run_ids": [p.run for p in t.points],
                "ran_at": [p.ran_at for p in t.points],
            }
            for t in self.trends
        ]
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def parts(self) -> Iterator[Part]:
        """Yield the table and what its words mean."""
        if not self.trends:
            yield "no runs yet"
            return
        head = "slice expectation verdicts value last change trend flips status".split()
        rows = [
            [
                t.slice,
                t.check,
                t.verdicts,
                t.bars,
                number(t.points[-1].value),
                _change(t.change),
                t.direction,
                str(t.flips),
                t.status,
            ]
            for t in self.trends
        ]
        yield Grid(head, rows, align="<<<<>><><")
        yield (
            "the oldest run first; flaky by chance: each flip is a change within the interval; "
            "up and down: beyond it"
        )


@suggesting
class Runs:
    """The runs of a database: `db.runs`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, kind: str | None = None) -> pa.Table:
        """Return the rows of the table `runs`, the newest first.

        Args:
            kind: "test", "evaluate", or "look" (of other verbs, at slices that gate or are held
                out); None is all.
        """
        rows = read(self._store, where=None if kind is None else sql.equals("kind", kind))
        return rows.sort_by([("ran_at", "descending"), ("id", "descending")])

    def trends(
        self,
        slices: str | Sequence[str] | None = None,
        *,
        model: str | None = None,
        last: int = LAST,
    ) -> Trends:
        """Return how each test fared over the last runs: values, verdict flips, and their reason.

        Args:
            slices: names; None is all.
            model: only runs that tested this model.
            last: runs looked back on.
        """
        if not self._store.has(schema.TESTS):
            return Trends(())
        named = [slices] if isinstance(slices, str) else slices
        runs = self._last(model, last)
        rows: list[_Stored] = self._store.table(
            schema.TESTS, _READ, where=sql.is_in("run", runs)
        ).to_pylist()
        about = self._about(runs)
        tests: dict[tuple[str, str, str | None], list[TrendPoint]] = {}
        for r in sorted(rows, key=_when):
            if named is not None and r["slice"] not in named:
                continue
            baseline, against = about.get(r["run"], (None, None))
            check = asked(r["check"], r["baseline"], baseline)
            check = f"{check} (truth: {against})" if against else check
            tests.setdefault((r["slice"], check, against), []).append(_point(r))
        return Trends(tuple(Trend(s, c, tuple(p), t) for (s, c, t), p in tests.items()))

    def _last(self, model: str | None, most: int) -> Sequence[str]:
        """Return the ids of the last runs, the oldest first; of one model if it is named."""
        seen = self._store.table(schema.TESTS, ["run", "ran_at", "model"])
        # The row in `runs` comes last, so that a run that was cut off is not counted.
        whole = read(self._store, ["id"])["id"].combine_chunks()
        seen = seen.filter(pc.is_in(seen["run"], value_set=whole))
        if model is not None:
            seen = seen.filter(pc.equal(seen["model"], model))
        each = seen.group_by("run").aggregate([("ran_at", "min")])
        ordered = each.sort_by([("ran_at_min", "ascending"), ("run", "ascending")])
        ids: list[str] = ordered["run"].to_pylist()
        return ids[-most:]

    def _about(self, runs: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
        """Return the baseline and the truth that each run was given."""
        rows = read(self._store, ["id", "summary"], sql.is_in("id", runs)).to_pylist()
        said = {r["id"]: json.loads(r["summary"] or "{}") for r in rows}
        return {
            run: (summary.get("baseline"), summary.get("truth")) for run, summary in said.items()
        }


def _when(row: _Stored) -> tuple[datetime, str, int]:
    number = row["id"].rpartition("/")[2]
    return row["ran_at"], row["run"], int(number) if number.isdigit() else 0


def _point(r: _Stored) -> TrendPoint:
    value, low, high = (float("nan") if x is None else x for x in (r["value"], r["low"], r["high"]))
    return TrendPoint(
        r["run"], r["model"], r["verdict"], value, low, high, r["n"] or 0, r["ran_at"], r["id"]
    )


def _change(value: float) -> str:
    return f"+{number(value)}" if value >= 0 else number(value)


_OF_TREND = ("change", "direction", "flips", "flips_by_chance", "status")

_SCHEMA = schema.schema_of(
    """
    slice string, check string, runs int64, verdicts string, value float64, low float64
    high float64, n int64, change float64, direction string, flips int64, flips_by_chance int64
    status string, models string[], values float64[], run_ids string[], ran_at time[]
    """
)
