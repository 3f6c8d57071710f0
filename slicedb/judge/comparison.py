"""Compare two models slice by slice: who wins, by how much, and whether that is luck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict, cast

import numpy as np
import pyarrow as pa

from slicedb import sql, stats
from slicedb.errors import SliceError, did_you_mean
from slicedb.judge.agreement import Agreement
from slicedb.judge.aligned import Aligned, load
from slicedb.judge.drawn import differences
from slicedb.judge.pairs import pair_of
from slicedb.judge.resampling import REPLICATES, mean_by_group
from slicedb.judge.slicewise import SliceCorrection, Slicewise, check_correction
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Floats
from slicedb.show.numbers import interval, p_value
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.store import Store

Flip = Literal["won", "lost", "flipped"]

_LONG = 1000
"""Characters from which on a query is not printed; the table has it."""


class Difference(TypedDict):
    """How two models differ in one slice."""

    difference: float
    """A - B; NaN where the slice has no samples."""
    low: float
    high: float
    p: float
    """Two-sided; of exact McNemar for classifiers."""
    p_adjusted: float
    """The same with all slices counted."""


class ComparedSlice(Difference):
    """One slice of a comparison."""

    slice: str
    n: int
    left_out: int
    """Members without a label, or not seen by both models."""
    wins: int
    losses: int
    ties: int
    accuracy_a: float
    accuracy_b: float
    won: str
    """Query text of the samples that A has right and B wrong."""
    lost: str
    """The reverse."""


@dataclass(frozen=True)
class Comparison(Tabular):
    """What `compare` finds; a win is a sample that A has right and B wrong."""

    a: str
    b: str
    table: pa.Table
    """slice, n, left_out, wins, losses, ties, accuracy_a, accuracy_b, difference (A - B), low,
    high, p, p_adjusted, won, lost: the last two are query texts."""
    confidence: float
    """Of the two-sided intervals."""
    correction: str
    """How many slices were looked at is counted in `p_adjusted`."""
    group: str | None = None
    """The column whose groups are resampled and flipped together."""
    truth: OtherTruth | None = None
    """What the models were judged against, if not the ground truth."""
    agreements: tuple[Agreement, ...] = ()
    """How far that truth agrees with the ground truth, and with each model."""

    HEAD: ClassVar[tuple[str, ...]] = (
        *("slice", "n", "wins", "losses", "ties", "A", "B", "A - B", "interval"),
        *("p", "p adjusted"),
    )
    UNIT: ClassVar[str] = ""
    """What is resampled and flipped where no group is named; "" for single samples."""
    LEFT_OUT: ClassVar[str] = "without a label"
    """Why a sample may be left out."""

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.table

    def row(self, slice: str) -> ComparedSlice:
        """Return one slice's row.

        Raises:
            SliceError: it is not among those compared.
        """
        names = self.table["slice"].to_pylist()
        if slice not in names:
            raise SliceError(f"'{slice}' was not compared.", did_you_mean(slice, names, "slices"))
        row: ComparedSlice = self._rows()[names.index(slice)]
        return row

    def _rows(self) -> list[ComparedSlice]:
        return cast(list[ComparedSlice], self.table.to_pylist())

    def query(self, slice: str, flip: Flip = "flipped") -> str:
        """Return the query text of the samples that flipped in a slice.

        Args:
            slice: one of those compared.
            flip: "won" is A right and B wrong, "lost" the reverse, "flipped" both kinds.
        """
        row = self.row(slice)
        texts = {"won": row["won"], "lost": row["lost"]}
        return texts.get(flip, f"({row['won']}) OR ({row['lost']})")

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        return [
            [
                r["slice"],
                f"{r['n']:,}",
                f"{r['wins']:,}",
                f"{r['losses']:,}",
                f"{r['ties']:,}",
                *measured(r["accuracy_a"], r["accuracy_b"], r),
            ]
            for r in self._rows()
        ]

    def parts(self) -> Iterator[Part]:
        """Yield the table, what its columns mean, and the samples that were lost."""
        rows, cells, head = self._rows(), self.cells(), self.HEAD
        drawn = lambda: differences(head, cells, rows)  # noqa: E731
        yield Grid(head, cells, align="<" + ">" * (len(head) - 1), drawn=drawn)
        yield f"A = {self.a}, B = {self.b}; {self._win()}"
        unit = f"groups of {self.group}" if self.group else self.UNIT
        by = f", by {unit}" if unit else ""
        yield f"in brackets the {self.confidence:.0%} interval, {self.correction} adjusted{by}"
        left_out = [f"{r['left_out']:,} of {r['slice']}" for r in rows if r["left_out"]]
        if left_out:
            yield f"left out, {self.LEFT_OUT} or not seen by both: {', '.join(left_out)}"
        yield from self.about_truth()
        lost = [(r["slice"], r["lost"]) for r in rows if r["losses"] and len(r["lost"]) < _LONG]
        yield from [f"lost in {name}: {query}" for name, query in lost[:3]]

    def _win(self) -> str:
        return f"a win: {self.a} right and {self.b} wrong"

    def about_truth(self) -> Iterator[str]:
        """Yield what the models are judged against, where it is not the ground truth."""
        if self.truth is not None:
            yield f"judged against {self.truth}, not the ground truth"
        yield from map(str, self.agreements)


def compare_samples(
    store: Store,
    a: str,
    b: str,
    members: Mapping[str, Keys],
    *,
    scopes: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    correction: SliceCorrection = "max-t",
    group: str | None = None,
    truth: OtherTruth | None = None,
) -> Comparison:
    """Compare two models on the samples that both of them saw; see `Database.compare`.

    Args:
        members: slice -> int64 keys.
        scopes: slice -> predicate of its members, "" for all of them; None is
            `in_slice('name')` for each.
        confidence: of the two-sided score intervals (Tango 1998).
        truth: what stands in place of the ground truth.

    Returns:
        A row a slice; p is exact McNemar's, two-sided.

    Raises:
        SliceError: there is no such correction.
    """
    check_correction(correction)
    pair = pair_of(store, a, b, truth)
    slices = Slicewise(store, pair, members, scopes, group)
    belongs, units = slices.belongs, slices.units
    right = pair.a.correct, pair.b.correct
    counts = belongs.count(right[0] + 2 * right[1].astype(np.int8), 4)
    _, wins, losses, both = counts.T
    hit_a, hit_b = both + wins, both + losses
    d = right[0].astype(float) - right[1]
    n = belongs.sizes
    low, high = stats.paired_interval(wins, losses, n, confidence)
    p = np.where(n > 0, stats.mcnemar(wins, losses), np.nan)
    if units is not None:
        low, high = _by_groups(d, belongs.positions, units, confidence)
        p = slices.flips(d)
    one, other = load(store, a, truth, light=True), load(store, b, truth, light=True)
    table = pa.table(
        {
            "slice": pa.array(slices.names, pa.string()),
            "n": n,
            "left_out": slices.left_out,
            "wins": wins,
            "losses": losses,
            "ties": n - wins - losses,
            "accuracy_a": _divide(hit_a, n),
            "accuracy_b": _divide(hit_b, n),
            "difference": _divide(wins - losses, n),
            "low": low,
            "high": high,
            "p": p,
            "p_adjusted": slices.adjusted(p, d, correction),
            "won": pa.array([flipped(scope, one, other) for scope in slices.scopes], pa.string()),
            "lost": pa.array([flipped(scope, other, one) for scope in slices.scopes], pa.string()),
        }
    )
    agreed = slices.agreements([a, b], truth, confidence)
    return Comparison(a, b, table, confidence, correction, group, truth, agreed)


def flipped(scope: str, right: Aligned, wrong: Aligned) -> str:
    """Return the query text of the samples that one model has right and another wrong."""
    return sql.conjunction(scope, right.right, wrong.wrong)


def _by_groups(d: Floats, positions: Sequence[Keys], units: Keys, confidence: float) -> Floats:
    """Return (2, s): percentile bounds of the mean difference, whole groups resampled."""
    bounds = [
        stats.bootstrap(
            *mean_by_group(d[rows], units[rows]), replicates=REPLICATES, confidence=confidence
        )
        for rows in positions
    ]
    return np.array(bounds, np.float64).reshape(-1, 2).T


def _divide(a: Keys | Floats, n: Keys) -> Floats:
    return np.asarray(np.divide(a, n, out=np.full(len(n), np.nan), where=n > 0))


def measured(a: float, b: float, row: Difference) -> list[str]:
    """Return the cells of what two models reach in a slice: both, the difference, interval, p."""
    return [
        *("-" if np.isnan(value) else f"{value:.4f}" for value in (a, b)),
        "undefined" if np.isnan(row["difference"]) else f"{row['difference']:+.4f}",
        interval(row["low"], row["high"], "+.4f"),
        p_value(row["p"]),
        p_value(row["p_adjusted"]),
    ]
