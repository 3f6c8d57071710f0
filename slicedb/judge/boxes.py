"""Compare two detectors box by box, and compute how many images a drop of recall takes.

A win is an annotated box that A finds and B misses. Boxes of one image are not independent, so
whole images are resampled for the intervals and flipped for p.
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
from slicedb.judge.power import Power, check_shares, table_of
from slicedb.judge.slicewise import SliceCorrection, Slicewise, check_correction
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.metrics import Membership
from slicedb.metrics.boxes import match, overlaps, rows_of
from slicedb.metrics.detections import Detections
from slicedb.metrics.outcomes import Bools, Floats
from slicedb.store import Store


@dataclass(frozen=True)
class BoxComparison(Comparison):
    """What `compare` finds of two detectors; wins, losses and ties are annotated boxes.

    The columns of `table` are slice, n (images), boxes, left_out, wins, losses, ties, recall_a,
    recall_b, difference (A - B), low, high, p, p_adjusted, extra_a and extra_b (boxes that should
    not be there), won and lost (queries of the samples that hold such a box).
    """

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        return [
            [
                r["slice"],
                *(f"{r[name]:,}" for name in ("n", "boxes", "wins", "losses")),
                *measured(r["recall_a"], r["recall_b"], r),
                f"{r['extra_a']:,}",
                f"{r['extra_b']:,}",
            ]
            for r in self.table.to_pylist()
        ]

    HEAD = (
        *("slice", "images", "boxes", "wins", "losses", "A", "B", "A - B", "interval"),
        *("p", "p adjusted", "extra A", "extra B"),
    )
    UNIT = "images"
    LEFT_OUT = "not annotated"

    def _win(self) -> str:
        return f"recall of boxes; a win: {self.a} found it alone"


@dataclass(frozen=True, eq=False)
class _Found:
    """What two detectors find, image by image."""

    pair: Pair
    counts: Floats
    """float64 (n, 7): wins, losses, found by A, found by B, annotated, extra of A, extra of B."""

    @classmethod
    def of(cls, pair: Pair) -> _Found:
        a, b = found_in(pair.a), found_in(pair.b)
        truth = pair.a.truth
        counts = ~truth.crowd if truth.crowd is not None else np.ones(len(truth), bool)
        parts = (a & ~b, b & ~a, a, b, np.ones(len(truth), bool))
        image, n = truth.image, pair.a.n
        columns = [np.bincount(image[part & counts], minlength=n) for part in parts]
        extra = [outcomes.counts().fp for outcomes in (pair.a, pair.b)]
        return cls(pair, np.stack([*columns, *extra], axis=1).astype(float))

    @property
    def net(self) -> Floats:
        """float64 (n,): wins less losses of each image."""
        return np.asarray(self.counts[:, 0] - self.counts[:, 1])

    @property
    def boxes(self) -> Floats:
        """float64 (n,): annotated boxes of each image."""
        return np.asarray(self.counts[:, 4])


def found_in(outcomes: Detections) -> Bools:
    """Return bool (truth,): whether a box that counts is matched with each annotated one."""
    assert outcomes.predicted.score is not None
    sure = np.flatnonzero(outcomes.predicted.score >= outcomes.confidence)
    predicted = rows_of(outcomes.predicted, sure)
    return np.asarray(
        match(overlaps(predicted, outcomes.truth), predicted, outcomes.truth).predicted >= 0
    )


def compare_boxes(
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
) -> BoxComparison:
    """Compare two detectors on the samples that both saw; see `Database.compare`.

    Args:
        members: slice -> int64 keys.
        scopes: slice -> predicate of its members, "" for all of them; None is
            `in_slice('name')` for each.
        confidence: of the two-sided intervals.
        truth: what stands in place of the ground truth.
    """
    check_correction(correction)
    pair = Pair(load(store, a, truth), load(store, b, truth))
    found = _Found.of(pair)
    slices = Slicewise(store, pair, members, scopes, group)
    belongs = slices.belongs
    sums = belongs.sum(found.counts)
    wins, losses, hit_a, hit_b, boxes, extra_a, extra_b = sums.astype(np.int64).T
    d, n = found.net, belongs.sizes
    low, high = _intervals(found, belongs, slices.units, confidence)
    p = np.where(boxes > 0, slices.flips(d), np.nan)
    won, lost = (
        [_flipped(s, *names, pair, names[0] == b) for s in slices.scopes]
        if truth is None
        else slices.named(found.counts[:, column] > 0)
        for column, names in enumerate([(a, b), (b, a)])
    )
    share = lambda above: np.divide(above, boxes, out=np.full(len(n), np.nan), where=boxes > 0)  # noqa: E731
    table = pa.table(
        {
            "slice": pa.array(slices.names, pa.string()),
            "n": n,
            "boxes": boxes,
            "left_out": slices.left_out,
            "wins": wins,
            "losses": losses,
            "ties": boxes - wins - losses,
            "recall_a": share(hit_a),
            "recall_b": share(hit_b),
            "difference": share(wins - losses),
            "low": low,
            "high": high,
            "p": p,
            "p_adjusted": slices.adjusted(p, d, correction),
            "extra_a": extra_a,
            "extra_b": extra_b,
            "won": pa.array(won, pa.string()),
            "lost": pa.array(lost, pa.string()),
        }
    )
    agreed = slices.agreements([a, b], truth, confidence)
    return BoxComparison(a, b, table, confidence, correction, group, truth, agreed)


def _intervals(
    found: _Found, belongs: Membership, units: Keys | None, confidence: float
) -> tuple[Floats, Floats]:
    """Return the percentile bounds of the difference in recall, whole images resampled."""
    bounds = []
    for rows in belongs.positions:
        d, t = found.net[rows], found.boxes[rows]
        if not t.sum():
            bounds.append((math.nan, math.nan))
            continue

        def difference(weights: Floats, d: Floats = d, t: Floats = t) -> Floats:
            total = weights @ t  # (b, n) @ (n,) -> (b,)
            empty = np.full(len(total), np.nan)
            return np.asarray(np.divide(weights @ d, total, out=empty, where=total > 0))

        groups = None if units is None else units[rows]
        ends = stats.bootstrap(difference, len(rows), groups=groups, confidence=confidence)
        bounds.append((float(ends.low), float(ends.high)))
    low, high = np.array(bounds, float).reshape(-1, 2).T
    return low, high


def _flipped(scope: str, right: str, wrong: str, pair: Pair, swapped: bool = False) -> str:
    """Return the query of the samples with a box that one detector found and the other missed."""
    sides = (pair.b, pair.a) if swapped else (pair.a, pair.b)
    found, missed = (
        f"{sql.name(name)}.found AND coalesce({sql.name(name)}.score, 1) >= {of.confidence:g}"
        for name, of in zip((right, wrong), sides)
    )
    where = f"id IN (SELECT id FROM objects WHERE {found} AND NOT ({missed}))"
    return sql.conjunction(scope, where)


def power_of_boxes(
    store: Store,
    a: str,
    b: str,
    members: Mapping[str, Keys],
    *,
    drop: float = 0.02,
    power: float = 0.8,
    confidence: float = 0.95,
) -> Power:
    """Return how many images show a drop of recall between two detectors.

    The variance of the difference is that of a ratio over images (Cochran 1977, 6.4), at least
    what the drop itself makes where its boxes are independent.

    Raises:
        CheckError: the drop, power or confidence is not a share.
    """
    check_shares(drop, power, confidence)
    pair = Pair(load(store, a), load(store, b))
    found, belongs = _Found.of(pair), Slicewise(store, pair, members).belongs
    z = stats.intervals.quantile(confidence, 1) + stats.intervals.quantile(power, 1)
    lines = []
    for name, rows in zip(members, belongs.positions):
        wins, losses, _, _, boxes, _, _ = found.counts[rows].sum(axis=0)
        n = len(rows)
        known = n > 0 and boxes > 0
        mean = boxes / n if known else math.nan
        spread = _variance(found.net[rows], found.boxes[rows]) if known else math.nan
        needed = math.ceil(z**2 / drop**2 * max(spread, drop / mean)) if known else 0
        finds = max(z * math.sqrt(spread / n), z**2 / (n * mean)) if known else math.nan
        lines.append(
            {
                "slice": name,
                "n": n,
                "disagreement": (wins + losses) / boxes if known else math.nan,
                "needed": needed,
                "enough": known and n >= needed,
                "finds": finds if finds <= 1 else math.nan,
            }
        )
    return Power(a, b, drop, power, confidence, table_of(lines), unit="recall of boxes")


def _variance(d: Floats, boxes: Floats) -> float:
    """Return the variance that one image adds to the difference in recall."""
    ratio, n = d.sum() / boxes.sum(), len(d)
    residual = d - ratio * boxes
    return float((residual**2).sum() / max(n - 1, 1) / boxes.mean() ** 2)
