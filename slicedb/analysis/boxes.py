"""Review where a detector is wrong: boxes by kind of mistake and class, confused pairs, slices.

The kinds are those of TIDE (Bolya et al., ECCV 2020; see `slicedb.metrics.mistaken`). Every finding
carries two query texts: that of its samples, which can be named as a slice, and that of its boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from slicedb import sql, stats
from slicedb.analysis.judgedrows import JudgedRows, judged_rows
from slicedb.analysis.review import ConfusedPair, Review
from slicedb.analysis.shares import SliceShare, all_shares, check_scope, share_grid
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.metrics.detections import Detections
from slicedb.metrics.mended import gains
from slicedb.metrics.mistaken import ABOUT, KINDS, MISSED, WRONG, Mistaken, mistaken
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.schema import schema_of
from slicedb.show import numbers, queries
from slicedb.show.html import Html
from slicedb.show.tabular import Grid, Part
from slicedb.store import Store

_Judged: TypeAlias = JudgedRows[Detections]


@dataclass(frozen=True)
class BoxFinding:
    """The mistakes of one kind."""

    name: str
    """The kind; also its tag."""
    description: str
    n: int
    """Boxes."""
    share: float
    """Of all mistaken boxes."""
    images: int
    """Samples that hold one."""
    query: str
    """The text that finds those samples."""
    boxes: str
    """The SELECT of the boxes themselves; "" against another truth than the annotated boxes."""
    gain: float
    """How much AP at an overlap of 0.5 rises if these are mended (dAP of TIDE), all boxes counted
    whatever their score."""
    keys: Ints = field(repr=False, compare=False)
    """int64 (images,): the samples, the largest loss first."""


@dataclass(frozen=True, eq=False)
class BoxMistakes(Review[BoxFinding, ConfusedPair]):
    """The error analysis of one detector."""

    model: str
    n: int
    """Samples judged: those that are annotated and have detections."""
    n_wrong: int
    """Samples with a missed box, or one too many."""
    left_out: int
    n_boxes: int
    """Annotated boxes."""
    findings: tuple[BoxFinding, ...]
    by_class: pa.Table
    """label (of the annotated box where one is missed, else of the predicted one), kind, n."""
    pairs: tuple[ConfusedPair, ...]
    """Boxes at the right place that have another label, the most frequent first."""
    top: pa.Table
    """The largest losses: id, label, prediction (boxes by class), loss, iou, tp, fp, fn."""
    top_query: str
    shares: tuple[SliceShare, ...]
    """Of the wrong samples, the highest lift first."""
    least: float = 0.5
    """The score from which on a box counts."""
    pictures: Callable[[], Html] | None = field(default=None, repr=False)
    """Draws the largest losses, for a notebook."""
    truth: OtherTruth | None = None
    """What the detector was judged against, if not the annotated boxes."""
    agreements: tuple[Agreement, ...] = ()
    """How far that truth agrees with the annotated boxes, and with the detector."""

    KIND = "mistake"
    TRUTH = "annotated boxes"

    @property
    def n_errors(self) -> int:
        """Mistaken boxes: predicted ones that are wrong, and missed ones."""
        return sum(finding.n for finding in self.findings)

    def to_arrow(self) -> pa.Table:
        """Return every finding, pair and share in one table: kind, name, n, share, query, gain."""
        table = super().to_arrow()
        gain = [f.gain for f in self.findings] + [None] * (len(table) - len(self.findings))
        return table.append_column("gain", pa.array(gain, pa.float64()))

    def parts(self) -> Iterable[Part]:
        """Yield the kinds, the classes, the confused pairs, the slices and the largest losses."""
        share = numbers.percent
        yield (
            f"{self.model}: {numbers.count(self.n_errors, 'mistake')} among "
            f"{numbers.count(self.n_boxes, 'annotated box', 'annotated boxes')}; "
            f"{self.n_wrong:,} of {numbers.count(self.n, 'picture')} "
            f"{numbers.verb(self.n_wrong, 'has', 'have')} one, {self.left_out:,} left out; boxes "
            f"count from a score of {self.least:g}; AP50: its gain if a kind were mended (TIDE)"
        )
        yield from self.about_truth()
        kinds = [
            [
                f.name,
                f"{f.n:,}",
                share(f.share),
                f"{f.images:,}",
                f"+{f.gain:.3f}",
                f.description,
                queries.clipped(f.query),
            ]
            for f in self.findings
        ]
        pairs = [
            [p.title, f"{p.n:,}", share(p.share), share(p.rate), queries.clipped(p.query)]
            for p in self.pairs
        ]
        top = [
            [r["id"], r["label"], r["prediction"], numbers.number(r["loss"]), r["fp"], r["fn"]]
            for r in self.top.slice(0, 5).to_pylist()
        ]
        grids = (
            Grid(["mistake", "boxes", "share", "pictures", "AP50", "meaning", "query"], kinds),
            Grid(["class", *KINDS], self._class_rows()),
            Grid(["confused", "boxes", "of mistakes", "of class", "query"], pairs),
            share_grid(self.shares, "wrong", "wrong"),
            Grid(["top loss", "truth", "prediction", "loss", "extra", "missed"], top),
        )
        texts = [f.query for f in self.findings] + [p.query for p in self.pairs]
        yield from self.shown(grids, queries.note(texts, "-f json, or in to_arrow()"))

    def _class_rows(self) -> list[list[str]]:
        """Return one row per class: how many mistakes of each kind."""
        counts: dict[str, dict[str, int]] = {}
        for row in self.by_class.to_pylist():
            counts.setdefault(row["label"], {})[row["kind"]] = row["n"]
        return [
            [label, *(f"{of[kind]:,}" if kind in of else "." for kind in KINDS)]
            for label, of in sorted(counts.items(), key=lambda pair: -sum(pair[1].values()))
        ]


_BY_CLASS = schema_of("label string, kind string, n int64")


def box_errors(
    store: Store,
    model: str,
    keys: Keys | None = None,
    *,
    scope: str = "",
    slices: Mapping[str, Keys] | None = None,
    by: Sequence[str] = (),
    n: int = 20,
    confidence: float = 0.95,
    truth: OtherTruth | None = None,
) -> BoxMistakes:
    """Analyse a detector's mistakes; see `Database.errors`.

    Args:
        keys: int64 (n,); None is every sample that is ok.
        scope: the query text of `keys`; every finding's query starts with it.
        slices: name to keys of registered slices, for their shares of the wrong samples.
        by: columns of samples whose values are reviewed as if they were slices.
        truth: what stands in place of the annotated boxes.

    Raises:
        CheckError: `scope` is no predicate.
        SliceDBError: no boxes are annotated, or none predicted.
    """
    check_scope(scope)
    name = sql.name(model)
    judged = judged_rows(
        store,
        model,
        keys,
        by,
        truth,
        Detections,
        wrong=f"NOT {name}.correct",
        lacks=("annotated boxes", "detections of"),
        hint=f"run `slicedb predict {model}`, or log them with `slicedb log-predictions`.",
    )
    outcomes = judged.outcomes
    assert outcomes.predicted.score is not None
    sure = outcomes.predicted.score >= outcomes.confidence
    kinds = mistaken(outcomes.predicted, outcomes.truth, sure)
    wrong = ~outcomes.correct
    order = np.argsort(-outcomes.losses(), kind="stable")
    predicate = f"{name}.loss IS NOT NULL"
    top_query = f"{sql.conjunction(scope, predicate)} ORDER BY {name}.loss DESC, id LIMIT {n}"
    if truth is not None:
        top_query = judged.named(order[:n])
    return BoxMistakes(
        model,
        judged.n,
        int(wrong.sum()),
        judged.left_out,
        int(outcomes.positives().sum()),
        _findings(judged, kinds, order, scope),
        _by_class(outcomes, kinds),
        _pairs(judged, kinds, scope, n, confidence),
        _top(judged, order[:n]),
        top_query,
        all_shares(judged, wrong, slices, by, scope, confidence),
        outcomes.confidence,
        truth=truth,
        agreements=agreements(
            store, [model], truth, [judged.asked], scopes=[scope], confidence=confidence
        ),
    )


def _findings(judged: _Judged, kinds: Mistaken, order: Ints, scope: str) -> tuple[BoxFinding, ...]:
    outcomes = judged.outcomes
    rise = gains(outcomes)
    total = int((kinds.predicted >= 0).sum() + (kinds.truth >= 0).sum())
    findings = []
    for code, kind in enumerate(KINDS):
        boxes = outcomes.truth if code == MISSED else outcomes.predicted
        image = boxes.image[(kinds.truth if code == MISSED else kinds.predicted) == code]
        has = np.zeros(judged.n, bool)
        has[image] = True
        query, select = _queries(judged, scope, f"mistake = {sql.string(kind)}", has)
        share = len(image) / total if total else float("nan")
        found = judged.keys[order[has[order]]]
        findings.append(
            BoxFinding(
                kind,
                ABOUT[kind],
                len(image),
                share,
                int(has.sum()),
                query,
                select,
                float(rise[code]),
                found,
            )
        )
    return tuple(findings)


def _queries(judged: _Judged, scope: str, where: str, has: Bools) -> tuple[str, str]:
    """Return the predicate of the samples that hold such a box, and the SELECT of the boxes.

    Args:
        where: the condition of such a box.
        has: bool (n,), the samples that hold one.
    """
    if judged.aligned.truth is not None:
        return judged.named(np.flatnonzero(has)), ""
    name = sql.name(judged.model)
    source = f"{name}.matches(confidence => {judged.outcomes.confidence:g})"
    query = sql.conjunction(scope, f"id IN (SELECT id FROM {source} WHERE {where})")
    inside = f" AND id IN (SELECT id FROM samples WHERE {scope})" if scope else ""
    return query, f"SELECT * FROM {source} WHERE {where}{inside}"


def _by_class(outcomes: Detections, kinds: Mistaken) -> pa.Table:
    c, k = len(outcomes.classes), len(KINDS)
    counts = np.zeros((c, k), np.int64)
    for label, kind in (
        (outcomes.predicted.label, kinds.predicted),
        (outcomes.truth.label, kinds.truth),
    ):
        is_wrong = kind >= 0
        np.add.at(counts, (label[is_wrong], kind[is_wrong]), 1)
    i, j = np.nonzero(counts)
    columns = [
        pa.array([outcomes.classes[at] for at in i.tolist()], pa.string()),
        pa.array([KINDS[at] for at in j.tolist()], pa.string()),
        pa.array(counts[i, j]),
    ]
    return pa.Table.from_arrays(columns, schema=_BY_CLASS)


def _pairs(
    judged: _Judged, kinds: Mistaken, scope: str, most: int, confidence: float
) -> tuple[ConfusedPair, ...]:
    outcomes, names = judged.outcomes, judged.outcomes.classes
    wrong = np.flatnonzero(kinds.predicted == WRONG)
    labels = outcomes.truth.label[kinds.partner[wrong]]
    boxes = labels * len(names) + outcomes.predicted.label[wrong]
    codes, counts = np.unique(boxes, return_counts=True)
    total = int((kinds.predicted >= 0).sum() + (kinds.truth >= 0).sum())
    sizes = np.bincount(outcomes.truth.label, minlength=len(names))
    pairs = []
    for at in np.lexsort((codes, -counts))[:most].tolist():
        truth, taken = divmod(int(codes[at]), len(names))
        count, of_class = int(counts[at]), int(sizes[truth])
        low, high = stats.wilson(count, max(of_class, count), confidence)
        where = (
            f"mistake = 'wrong class' AND about = {sql.string(names[truth])} "
            f"AND prediction = {sql.string(names[taken])}"
        )
        has = np.zeros(judged.n, bool)
        has[outcomes.predicted.image[wrong[boxes == codes[at]]]] = True
        query, _ = _queries(judged, scope, where, has)
        rate = count / max(of_class, 1)
        ends = float(low), float(high)
        share = count / total
        pairs.append(ConfusedPair(names[truth], names[taken], count, share, rate, query, *ends))
    return tuple(pairs)


def _top(judged: _Judged, at: Ints) -> pa.Table:
    outcomes = judged.outcomes.take(at)
    shown = [judged.aligned.task.shown(outcomes, row) for row in range(len(at))]
    tp, fp, fn = outcomes.counts()
    iou = outcomes.mean_overlaps()
    return pa.table(
        {
            "id": judged.rows["id"].take(pa.array(at)),
            "label": pa.array([one.truth for one in shown], pa.string()),
            "prediction": pa.array([one.prediction for one in shown], pa.string()),
            "loss": outcomes.losses(),
            "iou": pa.array(iou, mask=np.isnan(iou)),
            "tp": tp,
            "fp": fp,
            "fn": fn,
        }
    )
