"""Runs that were written down, and how each test fared over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.expectations.grammar import BASELINE
from slicedb.show import text
from slicedb.store import Store

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["new", "steady", "flaky by chance", "changed"]

LAST = 20
"""Runs a trend looks back on."""

_READ = (
    "id",
    "run",
    "slice",
    "check",
    "model",
    "baseline",
    "verdict",
    "value",
    "low",
    "high",
    "n",
    "ran_at",
)
"""Columns of `tests` that trends read; not the messages."""

_BARS = "▁▂▃▄▅▆▇█"
_LETTERS = {"PASS": "P", "FAIL": "F", "INCONCLUSIVE": "?"}


@dataclass(frozen=True)
class Point:
    """A test in one run."""

    run: str
    model: str
    verdict: str
    value: float
    low: float
    high: float
    n: int
    ran_at: datetime

    def is_within(self, other: Point) -> bool:
        """Return whether the interval of either holds the other's value: no more than chance."""
        if np.isnan([self.value, other.value]).any():
            return False
        return bool(self.low <= other.value <= self.high or other.low <= self.value <= other.high)


@dataclass(frozen=True)
class Trend:
    """One test over the runs, the oldest first."""

    slice: str
    check: str
    """The expectation; the run's own baseline reads "baseline"."""
    points: tuple[Point, ...]

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


@dataclass(frozen=True)
class Trends:
    """How the tests fared."""

    trends: tuple[Trend, ...]

    def __iter__(self) -> Any:
        return iter(self.trends)

    def __len__(self) -> int:
        return len(self.trends)

    def to_arrow(self) -> pa.Table:
        """Return one row a test."""
        rows = [
            {
                "slice": t.slice,
                "check": t.check,
                "runs": len(t.points),
                "verdicts": t.verdicts,
                "value": t.points[-1].value,
                "low": t.points[-1].low,
                "high": t.points[-1].high,
                "n": t.points[-1].n,
                "change": t.change,
                "direction": t.direction,
                "flips": t.flips,
                "flips_by_chance": t.flips_by_chance,
                "status": t.status,
                "models": [p.model for p in t.points],
                "values": [p.value for p in t.points],
                "run_ids": [p.run for p in t.points],
                "ran_at": [p.ran_at for p in t.points],
            }
            for t in self.trends
        ]
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas data frame."""
        return self.to_arrow().to_pandas()

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        return [
            [
                t.slice,
                t.check,
                t.verdicts,
                t.bars,
                _number(t.points[-1].value),
                _number(t.change, "+"),
                t.direction,
                str(t.flips),
                t.status,
            ]
            for t in self.trends
        ]

    def __str__(self) -> str:
        if not self.trends:
            return "no runs yet"
        head = [
            "slice",
            "expectation",
            "verdicts",
            "value",
            "last",
            "change",
            "trend",
            "flips",
            "status",
        ]
        note = (
            "the oldest run first; flaky by chance: each flip is a change within the interval; "
            "up and down: beyond it"
        )
        return f"{text.table(head, self.cells())}\n{note}"


class Runs:
    """The runs of a database: `db.runs`.

    Args:
        store: the tables.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, kind: str | None = None) -> pa.Table:
        """Return the rows of the table `runs`, the newest first.

        Args:
            kind: "test" or "evaluate"; None is all.
        """
        if not self._store.has(schema.RUNS):
            return schema.RUNS_SCHEMA.empty_table()
        rows = self._store.table(schema.RUNS)
        if kind is not None:
            rows = rows.filter(pc.equal(rows["kind"], kind))
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
        rows = self._store.table(schema.TESTS, _READ, where=_among("run", runs)).to_pylist()
        baselines = self._baselines(runs)
        tests: dict[tuple[str, str], list[Point]] = {}
        for r in sorted(rows, key=_when):
            if named is not None and r["slice"] not in named:
                continue
            check = _alike(r["check"], r["baseline"], baselines.get(r["run"]))
            tests.setdefault((r["slice"], check), []).append(_point(r))
        return Trends(tuple(Trend(s, check, tuple(p)) for (s, check), p in tests.items()))

    def _last(self, model: str | None, most: int) -> Sequence[str]:
        """Return the ids of the last runs, the oldest first; of one model if it is named."""
        seen = self._store.table(schema.TESTS, ["run", "ran_at", "model"])
        if model is not None:
            seen = seen.filter(pc.equal(seen["model"], model))
        each = seen.group_by("run").aggregate([("ran_at", "min")])
        ordered = each.sort_by([("ran_at_min", "ascending"), ("run", "ascending")])
        found: Sequence[str] = ordered["run"].to_pylist()[-most:]
        return found

    def _baselines(self, runs: Sequence[str]) -> dict[str, str | None]:
        """Return the baseline that each run was given."""
        rows = self._store.table(schema.RUNS, ["id", "summary"], where=_among("id", runs))
        return {r["id"]: json.loads(r["summary"] or "{}").get("baseline") for r in rows.to_pylist()}


def _among(column: str, ids: Sequence[str]) -> str:
    """Return the filter of the rows of some runs."""
    quoted = ", ".join("'" + i.replace("'", "''") + "'" for i in ids)
    return f"{column} IN ({quoted})" if ids else "false"


def _when(row: dict[str, Any]) -> tuple[datetime, str, int]:
    number = row["id"].rpartition("/")[2]
    return row["ran_at"], row["run"], int(number) if number.isdigit() else 0


def _point(r: dict[str, Any]) -> Point:
    value, low, high = (float("nan") if r[k] is None else r[k] for k in ("value", "low", "high"))
    return Point(r["run"], r["model"], r["verdict"], value, low, high, r["n"] or 0, r["ran_at"])


def _alike(check: str, baseline: str | None, of_run: str | None) -> str:
    """Return a check with the run's baseline under the word that stands for it."""
    if baseline is None or baseline != of_run:
        return check
    head, found, tail = check.partition("no worse than ")
    for name in (f"'{baseline}'", f'"{baseline}"', baseline):
        if found and tail.startswith(name):
            return f"{head}{found}{BASELINE}{tail[len(name) :]}"
    return check


def _number(value: float, sign: str = "") -> str:
    if np.isnan(value):
        return "-"
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.4g}"


_SCHEMA = pa.schema(
    [
        ("slice", pa.string()),
        ("check", pa.string()),
        ("runs", pa.int64()),
        ("verdicts", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
        ("change", pa.float64()),
        ("direction", pa.string()),
        ("flips", pa.int64()),
        ("flips_by_chance", pa.int64()),
        ("status", pa.string()),
        ("models", pa.list_(pa.string())),
        ("values", pa.list_(pa.float64())),
        ("run_ids", pa.list_(pa.string())),
        ("ran_at", pa.list_(pa.timestamp("us"))),
    ]
)
