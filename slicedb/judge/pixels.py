"""Compare two segmenters: mean IoU from pixels summed over pictures, and picture by picture.

A win is a picture whose own mean IoU is higher with A. Pixels of one picture are not independent,
so whole pictures are resampled for the intervals and flipped for p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import sql, stats
from slicedb.judge.agreement import agreements
from slicedb.judge.aligned import groups_of, load, universe
from slicedb.judge.boxes import ids_of
from slicedb.judge.comparison import Comparison, SliceCorrection, adjusted, flips
from slicedb.judge.drawn import differences
from slicedb.judge.pairs import Pair
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys, distinct
from slicedb.metrics import METRICS, Membership
from slicedb.metrics.metric import Weighted
from slicedb.metrics.outcomes import Floats
from slicedb.metrics.segmented import PixelCounts
from slicedb.show.numbers import interval, p_value
from slicedb.show.tabular import Grid, Part
from slicedb.store import Store

_HEAD = (
    *("slice", "pictures", "wins", "losses", "ties", "A", "B", "A - B", "interval"),
    *("p", "p adjusted"),
)
_LONG = 1000
"""Characters from which on a query is not printed; the table has it."""
_SAME = 1e-6
"""Difference of two IoUs up to which a picture is a tie: they are stored in single precision."""


@dataclass(frozen=True)
class PixelComparison(Comparison):
    """What `compare` finds of two segmenters; wins, losses and ties are pictures.

    The columns of `table` are slice, n (pictures), left_out, wins, losses, ties, miou_a, miou_b,
    difference (A - B), low, high, p, p_adjusted, won and lost (queries).
    """

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        return [
            [
                r["slice"],
                *(f"{r[name]:,}" for name in ("n", "wins", "losses", "ties")),
                *("-" if math.isnan(r[k]) else f"{r[k]:.4f}" for k in ("miou_a", "miou_b")),
                "undefined" if math.isnan(r["difference"]) else f"{r['difference']:+.4f}",
                interval(r["low"], r["high"], "+.4f"),
                p_value(r["p"]),
                p_value(r["p_adjusted"]),
            ]
            for r in self.table.to_pylist()
        ]

    def parts(self) -> Iterator[Part]:
        """Yield the table, what its columns mean, and the pictures that were lost."""
        rows, cells = self.table.to_pylist(), self.cells()
        drawn = lambda: differences(_HEAD, cells, rows)  # noqa: E731
        yield Grid(_HEAD, cells, align="<" + ">" * (len(_HEAD) - 1), drawn=drawn)
        yield f"A = {self.a}, B = {self.b}; mean IoU; a win: the IoU of the picture is higher"
        by = f"groups of {self.group}" if self.group else "pictures"
        yield f"in brackets the {self.confidence:.0%} interval, {self.correction} adjusted, by {by}"
        left_out = [f"{r['left_out']:,} of {r['slice']}" for r in rows if r["left_out"]]
        if left_out:
            yield f"left out, without a label map or not seen by both: {', '.join(left_out)}"
        yield from self.about_truth()
        lost = [(r["slice"], r["lost"]) for r in rows if r["losses"] and len(r["lost"]) < _LONG]
        yield from [f"lost in {name}: {query}" for name, query in lost[:3]]


def compare_pixels(
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
) -> PixelComparison:
    """Compare two segmenters on the samples that both saw; see `Database.compare`.

    Args:
        members: slice -> int64 keys.
        scopes: slice -> predicate of its members, "" for all of them; None is
            `in_slice('name')` for each.
        confidence: of the two-sided intervals.
        truth: what stands in place of the label maps.
    """
    pair = Pair(load(store, a, truth), load(store, b, truth))
    every = universe(store)
    units = groups_of(store, group)[pair.rows] if group else None
    belongs = pair.members([every.rows(np.asarray(k, np.int64)) for k in members.values()])
    sizes = np.array([len(distinct(k)) for k in members.values()], np.int64)
    d, n = np.nan_to_num(pair.a.ious() - pair.b.ious()), belongs.sizes
    wins, losses = belongs.sum(np.stack([d > _SAME, d < -_SAME], axis=1).astype(float)).T
    values = np.array(
        [_ends(pair, rows, units, confidence) for rows in belongs.positions], float
    ).reshape(-1, 4)
    p = np.array([flips(d, Membership([r], len(d)), units)[0] for r in belongs.positions])
    p = np.where(n > 0, p, np.nan)
    texts = [(scopes or {}).get(name, f"in_slice({sql.string(name)})") for name in members]
    won, lost = (
        _queries(store, pair, texts, belongs, every.keys, sign * d, names, truth)
        for sign, names in ((1, (a, b)), (-1, (b, a)))
    )
    table = pa.table(
        {
            "slice": pa.array(list(members), pa.string()),
            "n": n,
            "left_out": sizes - n,
            "wins": wins.astype(np.int64),
            "losses": losses.astype(np.int64),
            "ties": n - (wins + losses).astype(np.int64),
            "miou_a": values[:, 0],
            "miou_b": values[:, 1],
            "difference": values[:, 0] - values[:, 1],
            "low": values[:, 2],
            "high": values[:, 3],
            "p": p,
            "p_adjusted": adjusted(p, d, belongs, units, correction),
            "won": pa.array(won, pa.string()),
            "lost": pa.array(lost, pa.string()),
        }
    )
    agreed = agreements(
        store, [a, b], truth, list(members.values()), scopes=texts, confidence=confidence
    )
    return PixelComparison(a, b, table, confidence, correction, group, truth, agreed)


def _ends(
    pair: Pair, rows: Keys, units: Keys | None, confidence: float
) -> tuple[float, float, float, float]:
    """Return the mean IoU of A and of B, and the percentile bounds of their difference."""
    if not len(rows):
        return (math.nan,) * 4
    one, other = (_miou(side.take(rows)) for side in (pair.a, pair.b))
    whole = np.ones((1, len(rows)))
    values = float(one(whole)[0]), float(other(whole)[0])

    def difference(weights: Floats) -> Floats:
        return one(weights) - other(weights)

    if math.isnan(values[0] - values[1]):
        return *values, math.nan, math.nan
    groups = None if units is None else units[rows]
    ends = stats.bootstrap(difference, len(rows), groups=groups, confidence=confidence)
    return *values, float(ends.low), float(ends.high)


def _miou(outcomes: PixelCounts) -> Weighted:
    weighted = METRICS["segmentation.miou"].weighted
    assert weighted is not None
    return weighted(outcomes)


def _queries(
    store: Store,
    pair: Pair,
    scopes: list[str],
    belongs: Membership,
    keys: Keys,
    d: Floats,
    names: tuple[str, str],
    truth: OtherTruth | None,
) -> list[str]:
    """Return, for each slice, the query of the pictures that the first model has better."""
    if truth is None:
        first, second = (f"{sql.name(name)}.iou" for name in names)
        return [sql.conjunction(s, f"{first} - {second} > {_SAME:g}") for s in scopes]
    own = keys[pair.rows]
    return [
        sql.is_in("id", ids_of(store, own[rows[d[rows] > _SAME]])) for rows in belongs.positions
    ]
