"""Compare two segmenters: mean IoU from pixels summed over pictures, and picture by picture.

A win is a picture whose own mean IoU is higher with A. Pixels of one picture are not independent,
so whole pictures are resampled for the intervals and flipped for p.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import sql, stats
from slicedb.judge.aligned import load
from slicedb.judge.comparison import Comparison, measured
from slicedb.judge.pairs import Pair
from slicedb.judge.slicewise import SliceCorrection, Slicewise, check_correction
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.metrics import METRICS
from slicedb.metrics.metric import Weighted
from slicedb.metrics.outcomes import Floats
from slicedb.metrics.segmented import PixelCounts
from slicedb.store import Store

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
                *measured(r["miou_a"], r["miou_b"], r),
            ]
            for r in self.table.to_pylist()
        ]

    HEAD = (
        *("slice", "pictures", "wins", "losses", "ties", "A", "B", "A - B", "interval"),
        *("p", "p adjusted"),
    )
    UNIT = "pictures"
    LEFT_OUT = "without a label map"

    def _win(self) -> str:
        return "mean IoU; a win: the IoU of the picture is higher"


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
    check_correction(correction)
    pair = Pair(load(store, a, truth), load(store, b, truth))
    slices = Slicewise(store, pair, members, scopes, group)
    belongs = slices.belongs
    d, n = np.nan_to_num(pair.a.ious() - pair.b.ious()), belongs.sizes
    wins, losses = belongs.sum(np.stack([d > _SAME, d < -_SAME], axis=1).astype(float)).T
    values = np.array(
        [_ends(pair, rows, slices.units, confidence) for rows in belongs.positions], float
    ).reshape(-1, 4)
    p = np.where(n > 0, slices.flips(d), np.nan)
    won, lost = (
        [_higher(scope, *names) for scope in slices.scopes]
        if truth is None
        else slices.named(sign * d > _SAME)
        for sign, names in ((1, (a, b)), (-1, (b, a)))
    )
    table = pa.table(
        {
            "slice": pa.array(slices.names, pa.string()),
            "n": n,
            "left_out": slices.left_out,
            "wins": wins.astype(np.int64),
            "losses": losses.astype(np.int64),
            "ties": n - (wins + losses).astype(np.int64),
            "miou_a": values[:, 0],
            "miou_b": values[:, 1],
            "difference": values[:, 0] - values[:, 1],
            "low": values[:, 2],
            "high": values[:, 3],
            "p": p,
            "p_adjusted": slices.adjusted(p, d, correction),
            "won": pa.array(won, pa.string()),
            "lost": pa.array(lost, pa.string()),
        }
    )
    agreed = slices.agreements([a, b], truth, confidence)
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


def _higher(scope: str, first: str, second: str) -> str:
    """Return the query of the pictures that the first model has better."""
    return sql.conjunction(scope, f"{sql.name(first)}.iou - {sql.name(second)}.iou > {_SAME:g}")
