"""Compare two detectors box by box, and compute how many images a drop of recall takes.

A win is an annotated box that A finds and B misses. Boxes of one image are not independent, so
whole images are resampled for the intervals and flipped for p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import schema, sql, stats
from slicedb.judge.agreement import agreements
from slicedb.judge.aligned import groups_of, load, universe
from slicedb.judge.comparison import Comparison, SliceCorrection, adjusted, flips
from slicedb.judge.drawn import differences
from slicedb.judge.pairs import Pair
from slicedb.judge.power import Power, check_shares
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys, distinct
from slicedb.metrics import Membership
from slicedb.metrics.boxes import match, overlaps, rows_of
from slicedb.metrics.detections import Detections
from slicedb.metrics.outcomes import Bools, Floats
from slicedb.schema import schema_of
from slicedb.show.numbers import interval, p_value
from slicedb.show.tabular import Grid, Part
from slicedb.store import Store

_HEAD = (
    *("slice", "images", "boxes", "wins", "losses", "A", "B", "A - B", "interval"),
    *("p", "p adjusted", "extra A", "extra B"),
)

_LONG = 1000
"""Characters from which on a query is not printed; the table has it."""


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
                *("-" if math.isnan(r[k]) else f"{r[k]:.4f}" for k in ("recall_a", "recall_b")),
                "undefined" if math.isnan(r["difference"]) else f"{r['difference']:+.4f}",
                interval(r["low"], r["high"], "+.4f"),
                p_value(r["p"]),
                p_value(r["p_adjusted"]),
                f"{r['extra_a']:,}",
                f"{r['extra_b']:,}",
            ]
            for r in self.table.to_pylist()
        ]

    def parts(self) -> Iterator[Part]:
        """Yield the table, what its columns mean, and the samples of the boxes that were lost."""
        rows, cells = self.table.to_pylist(), self.cells()
        drawn = lambda: differences(_HEAD, cells, rows)  # noqa: E731
        yield Grid(_HEAD, cells, align="<" + ">" * (len(_HEAD) - 1), drawn=drawn)
        yield f"A = {self.a}, B = {self.b}; recall of boxes; a win: {self.a} found it alone"
        by = f"groups of {self.group}" if self.group else "images"
        yield f"in brackets the {self.confidence:.0%} interval, {self.correction} adjusted, by {by}"
        left_out = [f"{r['left_out']:,} of {r['slice']}" for r in rows if r["left_out"]]
        if left_out:
            yield f"left out, not annotated or not seen by both: {', '.join(left_out)}"
        yield from self.about_truth()
        lost = [(r["slice"], r["lost"]) for r in rows if r["losses"] and len(r["lost"]) < _LONG]
        yield from [f"lost in {name}: {query}" for name, query in lost[:3]]


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


def are_detectors(store: Store, a: str, b: str) -> bool:
    """Return whether both models are detectors."""
    return all(load(store, name, light=True).task.name == "detection" for name in (a, b))


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
    pair = Pair(load(store, a, truth), load(store, b, truth))
    every, found = universe(store), _Found.of(pair)
    units = groups_of(store, group)[pair.rows] if group else None
    belongs = pair.members([every.rows(np.asarray(k, np.int64)) for k in members.values()])
    sizes = np.array([len(distinct(k)) for k in members.values()], np.int64)
    sums = belongs.sum(found.counts)
    wins, losses, hit_a, hit_b, boxes, extra_a, extra_b = sums.astype(np.int64).T
    d, n = found.net, belongs.sizes
    low, high = _intervals(found, belongs, units, confidence)
    p = np.array([flips(d, Membership([r], len(d)), units)[0] for r in belongs.positions])
    p = np.where(boxes > 0, p, np.nan)
    texts = [(scopes or {}).get(name, f"in_slice({sql.string(name)})") for name in members]
    won, lost = (
        [_flipped(s, *names, pair, names[0] == b) for s in texts]
        if truth is None
        else _ids_of(store, found.counts[:, column], belongs, every.keys[pair.rows])
        for column, names in enumerate([(a, b), (b, a)])
    )
    share = lambda above: np.divide(above, boxes, out=np.full(len(n), np.nan), where=boxes > 0)  # noqa: E731
    table = pa.table(
        {
            "slice": pa.array(list(members), pa.string()),
            "n": n,
            "boxes": boxes,
            "left_out": sizes - n,
            "wins": wins,
            "losses": losses,
            "ties": boxes - wins - losses,
            "recall_a": share(hit_a),
            "recall_b": share(hit_b),
            "difference": share(wins - losses),
            "low": low,
            "high": high,
            "p": p,
            "p_adjusted": adjusted(p, d, belongs, units, correction),
            "extra_a": extra_a,
            "extra_b": extra_b,
            "won": pa.array(won, pa.string()),
            "lost": pa.array(lost, pa.string()),
        }
    )
    agreed = agreements(
        store, [a, b], truth, list(members.values()), scopes=texts, confidence=confidence
    )
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


def _ids_of(store: Store, flips: Floats, belongs: Membership, keys: Keys) -> list[str]:
    """Return, for each slice, the query of its images with flips, by their ids.

    Against another truth than the ground truth: `objects` and `matches` speak of that one.
    """
    return [
        sql.is_in("id", ids_of(store, keys[rows[flips[rows] > 0]])) for rows in belongs.positions
    ]


def ids_of(store: Store, keys: Keys) -> list[str]:
    """Return the ids of samples, in the order of their keys."""
    if not len(keys):
        return []
    ids: list[str] = store.take(schema.SAMPLES, keys, ["id"])["id"].to_pylist()
    return ids


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
    every, found = universe(store), _Found.of(pair)
    belongs = pair.members([every.rows(np.asarray(k, np.int64)) for k in members.values()])
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
    kinds = schema_of(
        "slice string, n int64, disagreement float64, needed int64, enough bool, finds float64"
    )
    table = pa.Table.from_pylist(lines, schema=kinds)
    return Power(a, b, drop, power, confidence, table, unit="recall of boxes")


def _variance(d: Floats, boxes: Floats) -> float:
    """Return the variance that one image adds to the difference in recall."""
    ratio, n = d.sum() / boxes.sum(), len(d)
    residual = d - ratio * boxes
    return float((residual**2).sum() / max(n - 1, 1) / boxes.mean() ** 2)
