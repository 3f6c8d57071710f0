"""Compare two models slice by slice: who wins, by how much, and whether that is luck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, cast

import numpy as np
import pyarrow as pa

from slicedb import sql, stats
from slicedb.errors import SliceError, did_you_mean
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.aligned import Aligned, groups_of, load, universe
from slicedb.judge.drawn import differences
from slicedb.judge.pairs import pair_of
from slicedb.judge.resampling import REPLICATES, mean_by_group
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys, distinct
from slicedb.metrics import Membership
from slicedb.metrics.outcomes import Floats
from slicedb.show.numbers import interval, p_value
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.store import Store

SliceCorrection = Literal["max-t", "holm", "benjamini-hochberg", "none"]

CORRECTIONS: tuple[SliceCorrection, ...] = ("max-t", "holm", "benjamini-hochberg", "none")
"""How the slices are counted: max-T for slices that share samples, the others for any."""

Flip = Literal["won", "lost", "flipped"]

_HEAD = ("slice", "n", "wins", "losses", "ties", "A", "B", "A - B", "interval", "p", "p adjusted")


class ComparedSlice(TypedDict):
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
    difference: float
    """A - B; NaN where the slice has no samples."""
    low: float
    high: float
    p: float
    """Two-sided, of exact McNemar."""
    p_adjusted: float
    """The same with all slices counted."""
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
                _share(r["accuracy_a"]),
                _share(r["accuracy_b"]),
                "undefined" if np.isnan(r["difference"]) else f"{r['difference']:+.4f}",
                interval(r["low"], r["high"], "+.4f"),
                p_value(r["p"]),
                p_value(r["p_adjusted"]),
            ]
            for r in self._rows()
        ]

    def parts(self) -> Iterator[Part]:
        """Yield the table, what its columns mean, and the samples that were lost."""
        rows = self._rows()
        cells = self.cells()
        drawn = lambda: differences(_HEAD, cells, rows)  # noqa: E731
        yield Grid(_HEAD, cells, align="<>>>>>>>>>>", drawn=drawn)
        yield f"A = {self.a}, B = {self.b}; a win: {self.a} right and {self.b} wrong"
        groups = f", by groups of {self.group}" if self.group else ""
        yield f"in brackets the {self.confidence:.0%} interval, {self.correction} adjusted{groups}"
        left_out = [f"{r['left_out']:,} of {r['slice']}" for r in rows if r["left_out"]]
        if left_out:
            yield f"left out, without a label or not seen by both: {', '.join(left_out)}"
        yield from self.about_truth()
        lost = [f"lost in {r['slice']}: {r['lost']}" for r in rows if r["losses"]]
        yield from lost[:3]

    def about_truth(self) -> Iterator[str]:
        """Yield what the models are judged against, where it is not the ground truth."""
        if self.truth is not None:
            yield f"judged against {self.truth}, not the ground truth"
        yield from map(str, self.agreements)


def compare(
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
    if correction not in CORRECTIONS:
        hint = did_you_mean(correction, CORRECTIONS, "corrections")
        raise SliceError(f"correction is {correction!r}.", hint)
    every, pair = universe(store), pair_of(store, a, b, truth)
    units = groups_of(store, group)[pair.rows] if group else None
    belongs = pair.members([every.rows(np.asarray(k, np.int64)) for k in members.values()])
    sizes = np.array([len(distinct(k)) for k in members.values()], np.int64)
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
        p = np.array([flips(d, Membership([r], len(d)), units)[0] for r in belongs.positions])
    p_adjusted = adjusted(p, d, belongs, units, correction)
    texts = [(scopes or {}).get(name, f"in_slice({sql.string(name)})") for name in members]
    one, other = load(store, a, truth, light=True), load(store, b, truth, light=True)
    table = pa.table(
        {
            "slice": pa.array(list(members), pa.string()),
            "n": n,
            "left_out": sizes - n,
            "wins": wins,
            "losses": losses,
            "ties": n - wins - losses,
            "accuracy_a": _divide(hit_a, n),
            "accuracy_b": _divide(hit_b, n),
            "difference": _divide(wins - losses, n),
            "low": low,
            "high": high,
            "p": p,
            "p_adjusted": p_adjusted,
            "won": pa.array([flipped(scope, one, other) for scope in texts], pa.string()),
            "lost": pa.array([flipped(scope, other, one) for scope in texts], pa.string()),
        }
    )
    agreed = agreements(
        store, [a, b], truth, list(members.values()), scopes=texts, confidence=confidence
    )
    return Comparison(a, b, table, confidence, correction, group, truth, agreed)


def flipped(scope: str, right: Aligned, wrong: Aligned) -> str:
    """Return the query text of the samples that one model has right and another wrong."""
    return sql.conjunction(scope, right.right, wrong.wrong)


def adjusted(
    p: Floats,
    d: Floats,
    belongs: Membership,
    units: Keys | None,
    correction: SliceCorrection,
) -> Floats:
    """Return p with all slices counted.

    Args:
        p: float64 (s,), of each slice alone; NaN without samples.
        d: float64 (n,), A minus B of each sample.
        belongs: the slices over the samples.
        units: int64 (n,), groups that flip together; None where samples do.
        correction: one of `CORRECTIONS`.
    """
    tested = np.flatnonzero(belongs.sizes > 0)
    if correction == "none" or len(tested) < 2:
        return p
    if correction != "max-t":
        return stats.holm(p) if correction == "holm" else stats.benjamini_hochberg(p)
    together = flips(d, belongs, units)
    return np.where(np.isnan(p), np.nan, np.fmax(together, p))  # no less than the exact p alone


def flips(d: Floats, belongs: Membership, units: Keys | None) -> Floats:
    """Return the two-sided p-values of slices from random flips of signs."""
    # Samples on which both models agree flip nothing, and are most of the matrix.
    rows = np.flatnonzero(d)
    groups = None if units is None else units[rows]
    p = stats.max_t(d[rows], belongs.within(rows).matrix, groups=groups, sides=2).p
    return np.where(np.isnan(p), 1.0, p)


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


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"
