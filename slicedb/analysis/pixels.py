"""Review where a segmenter is wrong: classes, confused pairs, pictures lacking a class, slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.analysis.judgedrows import judged_rows
from slicedb.analysis.mistakes import ReviewSet
from slicedb.analysis.shares import SliceShare, all_shares, check_scope, share_grid
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.aligned import Aligned
from slicedb.judge.confusion import pixels_query
from slicedb.judge.truth import OtherTruth
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.metrics.segmented import PixelCounts
from slicedb.schema import schema_of
from slicedb.show import numbers, queries
from slicedb.show.html import Html
from slicedb.show.tabular import Figure, Grid, Part, Tabular
from slicedb.store import Store

POOR = 0.5
"""Mean IoU of a picture below which it counts as poor."""


@dataclass(frozen=True)
class ConfusedPixels:
    """Pixels of one class that are taken for another."""

    truth: str
    prediction: str
    n: int
    """Pixels."""
    share: float
    """Of all wrong pixels."""
    rate: float
    """Of the pixels of the true class."""
    pictures: int
    query: str
    """The samples that have such a pixel; by their ids against another truth."""


@dataclass(frozen=True, eq=False)
class PixelMistakes(Tabular):
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

    @property
    def tags(self) -> dict[str, Ints]:
        """The findings as tags: tag to keys."""
        return {finding.name: finding.keys for finding in self.findings}

    def finding(self, name: str) -> ReviewSet:
        """Return a finding by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return {finding.name: finding for finding in self.findings}[name]

    def to_arrow(self) -> pa.Table:
        """Return every finding, pair and share in one table: kind, name, n, share, query."""
        rows = [("set", f.name, f.n, f.share, f.query) for f in self.findings]
        rows += [("pair", _title(p), p.n, p.share, p.query) for p in self.pairs]
        rows += [("slice", s.slice, s.n_errors, s.share_of_errors, s.query) for s in self.shares]
        return pa.Table.from_pylist([dict(zip(_SUMMARY.names, row)) for row in rows], _SUMMARY)

    def parts(self) -> Iterable[Part]:
        """Yield the findings, the classes, the confused pairs, the slices, the largest losses."""
        share = numbers.percent
        wrong = share(self.n_errors / self.n_pixels) if self.n_pixels else "-"
        yield (
            f"{self.model}: {self.n_errors:,} of {numbers.count(self.n_pixels, 'pixel')} "
            f"{numbers.verb(self.n_errors, 'is', 'are')} wrong ({wrong}), in "
            f"{numbers.count(self.n, 'picture')}, {self.left_out:,} left out"
        )
        if self.truth is not None:
            yield f"judged against {self.truth}, not the label maps"
        yield from map(str, self.agreements)
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
            [_title(p), f"{p.n:,}", share(p.share), share(p.rate), f"{p.pictures:,}"]
            for p in self.pairs
        ]
        top = [
            [r["id"], r["label"], r["prediction"], *map(_plain, (r["loss"], r["iou"]))]
            for r in self.top.slice(0, 5).to_pylist()
        ]
        for grid in (
            Grid(["review set", "pictures", "share", "meaning", "query"], sets),
            Grid(["class", "pixels", "share", "IoU", "recall", "precision", "taken for"], classes),
            Grid(["confused", "pixels", "of wrong", "of class", "pictures"], pairs),
            share_grid(self.shares, "poor", "poor"),
            Grid(["top loss", "truth", "prediction", "loss", "IoU"], top),
        ):
            if grid.rows:
                yield ""
                yield grid
        if self.pictures is not None:
            yield Figure(self.pictures)


_SUMMARY = schema_of("kind string, name string, n int64, share float64, query string")


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
    judged = _judged(store, model, keys, by, truth)
    outcomes, name = judged.outcomes, sql.name(model)
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


@dataclass(frozen=True, eq=False)
class _Judged:
    """Samples with both label maps, one row each, by id."""

    model: str
    aligned: Aligned
    outcomes: PixelCounts
    keys: Keys
    rows: pa.Table
    """id and the columns asked for."""
    left_out: int
    asked: Keys

    label = "label"

    @property
    def n(self) -> int:
        return len(self.keys)

    def errors_among(self, at: Ints, wrong: Bools) -> str:
        """Return the predicate of the poor pictures; of some rows, against a truth."""
        if self.aligned.truth is None:
            return f"{sql.name(self.model)}.iou < {POOR:g}"
        return self.named(at[wrong[at]])

    def named(self, at: Ints) -> str:
        """Return the predicate of some rows by their ids."""
        return sql.is_in("id", self.rows["id"].take(pa.array(at)).to_pylist())

    def members(self, slices: Mapping[str, Keys] | None) -> dict[str, Keys]:
        """Return the row numbers of each slice."""
        index = KeyIndex(self.keys)
        return {name: np.flatnonzero(index.mask(keys)) for name, keys in (slices or {}).items()}


def _judged(
    store: Store, model: str, keys: Keys | None, by: Sequence[str], truth: OtherTruth | None
) -> _Judged:
    judged = judged_rows(
        store,
        model,
        keys,
        by,
        truth,
        lacks=("a label map", "one predicted by"),
        hint=f"run `slicedb predict {model}`, or `slicedb attach-masks`.",
    )
    aligned, at = judged.aligned, judged.at
    outcomes: PixelCounts = aligned.outcomes.take(at)
    return _Judged(
        model, aligned, outcomes, aligned.keys[at], judged.rows, judged.left_out, judged.asked
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
            ConfusedPixels(names[truth], names[taken], count, share, rate, len(rows), query)
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


def _title(pair: ConfusedPixels) -> str:
    return f"{pair.truth} as {pair.prediction}"
