"""Compute what a slice can show: the drop it detects, and the images that a smaller one needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import stats
from slicedb.errors import CheckError
from slicedb.judge.drawn import enough
from slicedb.judge.pairs import pair_of
from slicedb.judge.slicewise import Slicewise
from slicedb.keys import Keys
from slicedb.schema import schema_of
from slicedb.show.numbers import count, verb
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.store import Store


@dataclass(frozen=True)
class Power(Tabular):
    """Sample sizes for drops of A against B, one row per slice."""

    a: str
    b: str
    drop: float
    """The drop in accuracy asked about."""
    power: float
    """Share of such drops that are found."""
    confidence: float
    table: pa.Table
    """slice, n, disagreement, needed (images for the drop), enough, finds (the smallest drop that
    n images find; NaN where they find none)."""
    unit: str = "accuracy"
    """What drops."""

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.table

    def sentences(self) -> list[str]:
        """Return one sentence a slice."""
        points = f"{100 * self.drop:g}-point"
        return [
            f"{r['slice']}: detecting a {points} drop here needs {count(r['needed'], 'image')}, "
            f"there {verb(r['n'], 'is', 'are')} {r['n']:,}"
            for r in self.table.to_pylist()
        ]

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        return [
            [
                r["slice"],
                f"{r['n']:,}",
                f"{r['disagreement']:.1%}",
                f"{r['needed']:,}",
                "yes" if r["enough"] else "no",
                "-" if np.isnan(r["finds"]) else f"{r['finds']:.2%}",
            ]
            for r in self.table.to_pylist()
        ]

    def parts(self) -> Iterator[Part]:
        """Yield the table, and the test that it is about."""
        head = ["slice", "n", "disagreement", f"needed for {self.drop:.1%}", "enough", "finds"]
        cells = self.cells()
        yield Grid(head, cells, align="<>>>>>", drawn=lambda: enough(head, cells))
        yield (
            f"a drop in {self.unit} of {self.a} against {self.b}, found in {self.power:.0%} of "
            f"cases by one test at {self.confidence:.0%}\n"
            "n: samples that both predicted; disagreement: the share where one alone is right; "
            f"needed for {self.drop:.1%}: the samples that show such a drop; enough: whether n is "
            "that many; finds: the smallest drop that n samples show"
        )


def power_of_samples(
    store: Store,
    a: str,
    b: str,
    members: Mapping[str, Keys],
    *,
    drop: float = 0.02,
    power: float = 0.8,
    confidence: float = 0.95,
) -> Power:
    """Say how many images it takes to see a drop between two models (Connor 1987).

    Raises:
        CheckError: the drop, power or confidence is not a share.
    """
    check_shares(drop, power, confidence)
    pair = pair_of(store, a, b)
    belongs = Slicewise(store, pair, members).belongs
    differ = (pair.a.correct != pair.b.correct).astype(float)[:, None]
    discordant = belongs.sum(differ)[:, 0]
    lines = []
    for name, n, k in zip(members, belongs.sizes.tolist(), discordant.tolist()):
        seen = k / n if n else float("nan")
        assumed = max(drop, seen) if n else 1.0  # a drop is itself a disagreement
        needed = stats.n_for_paired(assumed, drop, confidence, power)
        lines.append(
            {
                "slice": name,
                "n": n,
                "disagreement": seen,
                "needed": needed,
                "enough": n >= needed,
                "finds": finds(k, n, power=power, confidence=confidence),
            }
        )
    return Power(a, b, drop, power, confidence, table_of(lines))


def table_of(lines: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return the table of a `Power`, one row per slice."""
    kinds = schema_of(
        "slice string, n int64, disagreement float64, needed int64, enough bool, finds float64"
    )
    return pa.Table.from_pylist(lines, schema=kinds)


def check_shares(drop: float, power: float, confidence: float) -> None:
    """Refuse what is not a share.

    Raises:
        CheckError: one of them does not lie between 0 and 1.
    """
    for name, value in (("drop", drop), ("power", power), ("confidence", confidence)):
        if not 0 < value < 1:
            raise CheckError(f"{name} is {value:g}.", "a share between 0 and 1, such as 0.02.")


def finds(discordant: float, n: int, *, power: float = 0.8, confidence: float = 0.95) -> float:
    """Return the smallest drop that n images find; NaN where they find none.

    The disagreement is the one seen, or the drop itself where that is larger.

    >>> print(f"{finds(64, 1000):.4f}")
    0.0199
    """
    if n < 1:
        return float("nan")
    drop = stats.drop_for_paired(max(discordant / n, 1e-9), n, confidence, power)
    if not np.isnan(drop):
        return drop
    low, high = discordant / n, 1.0
    if stats.n_for_paired(1.0, 1.0, confidence, power) > n:
        return float("nan")
    for _ in range(60):
        middle = (low + high) / 2
        enough = stats.n_for_paired(middle, middle, confidence, power) <= n
        low, high = (low, middle) if enough else (middle, high)
    return high
