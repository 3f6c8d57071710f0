"""Review where a segmenter is wrong: classes, confused pairs, pictures lacking a class, slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.analysis.judgedrows import JudgedRows, judged_rows
from slicedb.analysis.review import Confused, Review, ReviewSet
from slicedb.analysis.shares import SliceShare, all_shares, check_scope, share_grid
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.confusion import pixels_query
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.metrics.segmented import PixelCounts
from slicedb.show import numbers, queries
from slicedb.show.html import Html
from slicedb.show.tabular import Grid, Part
from slicedb.store import Store

_Judged: TypeAlias = JudgedRows[PixelCounts]

POOR = 0.5
"""Mean IoU of a picture below which it counts as poor."""


@dataclass(frozen=True)
class ConfusedPixels(Confused):
    """Pixels of one class that are taken for another."""

    pictures: int
    """Samples that have such a pixel."""


@dataclass(frozen=True, eq=False)
class PixelMistakes(Review[ReviewSet, ConfusedPixels]):
    """The error analysis of one segmenter."""

    model: str
    n: int
    """Samples judged: those with a label map and a predicted one."""
    left_out: int
    n_pixels: int
    n_errors: int
    """Wrong pixels."""
    findings: tuple[ReviewSet, ...]
    """Pictures that miss a class, that show one that is not there, and whose IoU is poor."""
    classes: pa.Table
    """label, pixels, share (of all pixels), iou, recall, precision, taken_for; the worst first."""
    pairs: tuple[ConfusedPixels, ...]
    """The most pixels first."""
    top: pa.Table
    """The largest losses: id, label, prediction, loss, iou, accuracy."""
    top_query: str
    shares: tuple[SliceShare, ...]
    """Of the poor pictures, the highest lift first."""
    pictures: Callable[[], Html] | None = field(default=None, repr=False)
    """Draws the largest losses, for a notebook."""
    truth: OtherTruth | None = None
    """What the segmenter was judged against, if not the label maps."""
    agreements: tuple[Agreement, ...] = ()
    """How far that truth agrees with the label maps, and with the segmenter."""

    TRUTH = "label maps"

    def parts(self) -> Iterable[Part]:
        """Yield the findings, the classes, the confused pairs, the slices, the largest losses."""
        share = numbers.percent
        wrong = share(self.n_errors / self.n_pixels) if self.n_pixels else "-"
        yield (
            f"{self.model}: {self.n_errors:,} of {numbers.count(self.n_pixels, 'pixel')} "
            f"{numbers.verb(self.n_errors, 'is', 'are')} wrong ({wrong}), in "
            f"{numbers.count(self.n, 'picture')}, {self.left_out:,} left out"
        )
        yield from self.about_truth()
        sets = [
            [f.name, f"{f.n:,}", share(f.share), f.description, queries.clipped(f.query)]
            for f in self.findings
        ]
        classes = [
            [
                r["label"],
                f"{r['pixels']:,}",
                share(r["share"]),
                *(_plain(r[name]) for name in ("iou", "recall", "precision")),
                r["taken_for"] or "",
            ]
            for r in self.classes.to_pylist()
        ]
        pairs = [
            [p.title, f"{p.n:,}", share(p.share), share(p.rate), f"{p.pictures:,}"]
            for p in self.pairs
        ]
        top = [
            [r["id"], r["label"], r["prediction"], *map(_plain, (r["loss"], r["iou"]))]
            for r in self.top.slice(0, 5).to_pylist()
        ]
        grids = (
            Grid(["review set", "pictures", "share", "meaning", "query"], sets),
            Grid(["class", "pixels", "share", "IoU", "recall", "precision", "taken for"], classes),
            Grid(["confused", "pixels", "of wrong", "of class", "pictures"], pairs),
            share_grid(self.shares, "poor", "poor"),
            Grid(["top loss", "truth", "prediction", "loss", "IoU"], top),
        )
        texts = [f.query for f in self.findings]
        yield from self.shown(grids, queries.note(texts, "-f json, or in to_arrow()"))


def pixel_errors(
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
) -> PixelMistakes:
    """Analyse a segmenter's mistakes; see `Database.errors`.

    Args:
        keys: int64 (n,); None is every sample that is ok.
        scope: the query text of `keys`; every finding's query starts with it.
        slices: name to keys of registered slices, for their shares of the poor pictures.
        by: columns of samples whose values are reviewed as if they were slices.
        truth: what stands in place of the label maps.

    Raises:
        CheckError: `scope` is no predicate.
        SliceDBError: there are no label maps, or none predicted.
    """
    check_scope(scope)
    name = sql.name(model)
    judged = judged_rows(
        store,
        model,
        keys,
        by,
        truth,
        PixelCounts,
        wrong=f"{name}.iou < {POOR:g}",
        lacks=("a label map", "one predicted by"),
        hint=f"run `slicedb predict {model}`, or `slicedb attach-masks`.",
    )
    outcomes = judged.outcomes
    order = np.argsort(-outcomes.losses(), kind="stable")
    predicate = sql.conjunction(scope, f"{name}.loss IS NOT NULL")
    top_query = f"{predicate} ORDER BY {name}.loss DESC, id LIMIT {n}"
    poor = np.nan_to_num(outcomes.ious(), nan=1.0) < POOR
    matrix = outcomes.matrix(np.arange(outcomes.n))
    return PixelMistakes(
        model,
        judged.n,
        judged.left_out,
        int(outcomes.actual.sum()),
        int(outcomes.actual.sum() - outcomes.hit.sum()),
        _findings(judged, poor, order, scope),
        _classes(outcomes, matrix),
        _pairs(judged, matrix, scope, n),
        _top(judged, order[:n]),
        top_query if truth is None else judged.named(order[:n]),
        all_shares(judged, poor, slices, by, scope, confidence),
        truth=truth,
        agreements=agreements(
            store, [model], truth, [judged.asked], scopes=[scope], confidence=confidence
        ),
    )


def _findings(judged: _Judged, poor: Bools, order: Ints, scope: str) -> tuple[ReviewSet, ...]:
    o, name = judged.outcomes, sql.name(judged.model)
    names = "list_transform({}.cells, lambda c: c.{})"
    truths, said = (names.format(name, side) for side in ("truth", "prediction"))
    right = f"list_filter({name}.cells, lambda c: c.truth = c.prediction)"
    found = f"list_transform({right}, lambda c: c.truth)"
    rows = (
        (
            "missed",
            "no pixel of a class that is there is found",
            ((o.actual > 0) & (o.hit == 0)).any(axis=1),
            f"len(list_distinct({truths})) > len(list_distinct({found}))",
        ),
        (
            "invented",
            "some pixels are taken for a class that is not there",
            ((o.predicted > 0) & (o.actual == 0)).any(axis=1),
            f"NOT list_has_all({truths}, list_filter({said}, lambda p: p IS NOT NULL))",
        ),
        ("poor", f"the mean IoU of the picture is below {POOR:g}", poor, f"{name}.iou < {POOR:g}"),
    )
    return tuple(
        ReviewSet(
            kind,
            text,
            sql.conjunction(scope, where)
            if judged.aligned.truth is None
            else judged.named(np.flatnonzero(has)),
            int(has.sum()),
            float(has.mean()),
            judged.keys[order[has[order]]],
        )
        for kind, text, has, where in rows
    )


def _classes(o: PixelCounts, matrix: Ints) -> pa.Table:
    hit, actual, predicted = (side.sum(axis=0) for side in (o.hit, o.actual, o.predicted))
    union = actual + predicted - hit
    ratio = lambda below: np.divide(hit, below, out=np.full(len(hit), np.nan), where=below > 0)  # noqa: E731
    off = matrix - np.diag(np.diagonal(matrix))
    taken = [o.classes[int(row.argmax())] if row.any() else None for row in off]
    total = actual.sum()
    table = pa.table(
        {
            "label": pa.array(o.classes, pa.string()),
            "pixels": actual.astype(np.int64),
            "share": actual / total if total else np.zeros(len(actual)),
            "iou": ratio(union),
            "recall": ratio(actual),
            "precision": ratio(predicted),
            "taken_for": pa.array(taken, pa.string()),
        }
    )
    known = np.flatnonzero(union > 0)
    return table.take(pa.array(known[np.argsort(ratio(union)[known], kind="stable")]))


def _pairs(judged: _Judged, matrix: Ints, scope: str, most: int) -> tuple[ConfusedPixels, ...]:
    o, names = judged.outcomes, judged.outcomes.classes
    off = matrix - np.diag(np.diagonal(matrix))
    order = np.argsort(-off, axis=None, kind="stable")[: min(most, np.count_nonzero(off))]
    wrong = max(1, int(o.actual.sum() - o.hit.sum()))
    pairs = []
    for truth, taken in zip(*(side.tolist() for side in np.unravel_index(order, off.shape))):
        rows = np.unique(o.row[(o.truth == truth) & (o.prediction == taken)])
        count, of_class = int(off[truth, taken]), int(o.actual[:, truth].sum())
        query = sql.conjunction(scope, pixels_query(judged.model, names[truth], names[taken]))
        if judged.aligned.truth is not None:
            query = judged.named(rows)
        rate, share = count / max(1, of_class), count / wrong
        pairs.append(
            ConfusedPixels(names[truth], names[taken], count, share, rate, query, len(rows))
        )
    return tuple(pairs)


def _top(judged: _Judged, at: Ints) -> pa.Table:
    some = judged.outcomes.take(at)
    shown = [judged.aligned.task.shown(some, row) for row in range(len(at))]
    iou, accuracy = some.ious(), some.accuracies()
    return pa.table(
        {
            "id": judged.rows["id"].take(pa.array(at)),
            "label": pa.array([one.truth for one in shown], pa.string()),
            "prediction": pa.array([one.prediction for one in shown], pa.string()),
            "loss": some.losses(),
            "iou": pa.array(iou, mask=np.isnan(iou)),
            "accuracy": pa.array(accuracy, mask=np.isnan(accuracy)),
        }
    )


def _plain(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
