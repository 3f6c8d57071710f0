"""Review where a model is wrong: review sets, top losses, confused pairs, the share of each slice.

Every finding carries a query text, so that naming it as a slice is one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql, stats
from slicedb.analysis.review import ConfusedPair, Review, ReviewSet
from slicedb.analysis.shares import SliceShare, all_shares, check_scope, share_grid
from slicedb.errors import CheckError
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.predicted import Predicted, select
from slicedb.judge.truth import OtherTruth
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.show import numbers
from slicedb.show.html import Html
from slicedb.show.tabular import Grid, Part

if TYPE_CHECKING:
    from slicedb.store import Store


@dataclass(frozen=True, eq=False)
class Mistakes(Review[ReviewSet, ConfusedPair]):
    """The error analysis of one model."""

    model: str
    n: int
    """Samples judged: those with a label and a prediction."""
    n_errors: int
    left_out: int
    findings: tuple[ReviewSet, ...]
    top: pa.Table
    """The largest losses: id, label, prediction, loss, confidence, margin, correct."""
    top_query: str
    pairs: tuple[ConfusedPair, ...]
    """The most frequent first."""
    shares: tuple[SliceShare, ...]
    """The highest lift first; slices without samples are left out."""
    pictures: Callable[[], Html] | None = field(default=None, repr=False)
    """Draws the largest losses, for a notebook."""
    truth: OtherTruth | None = None
    """What the model was judged against, if not the label."""
    agreements: tuple[Agreement, ...] = ()
    """How far that truth agrees with the label, and with the model."""

    def parts(self) -> Iterable[Part]:
        """Yield the review sets, the confused pairs, the slices and the largest losses."""
        share = numbers.percent
        yield (
            f"{self.model}: {numbers.count(self.n_errors, 'error')} in "
            f"{numbers.count(self.n, 'sample')} "
            f"({share(self.n_errors / self.n)}), {self.left_out:,} left out"
        )
        yield from self.about_truth()
        sets = [[f.name, f"{f.n:,}", share(f.share), f.query] for f in self.findings]
        pairs = [[p.title, f"{p.n:,}", share(p.share), share(p.rate), p.query] for p in self.pairs]
        top = [
            [
                r["id"],
                r["label"],
                r["prediction"],
                numbers.number(r["loss"]),
                numbers.number(r["confidence"]),
            ]
            for r in self.top.slice(0, 5).to_pylist()
        ]
        yield from self.shown(
            (
                Grid(["review set", "n", "share", "query"], sets),
                Grid(["confused", "n", "of errors", "of class", "query"], pairs),
                share_grid(self.shares),
                Grid(["top loss", "truth", "prediction", "loss", "confidence"], top),
            )
        )


def class_errors(
    store: Store,
    model: str,
    keys: Ints | None = None,
    *,
    scope: str = "",
    slices: Mapping[str, Ints] | None = None,
    by: Sequence[str] = ("label",),
    sure: float = 0.9,
    unsure: float | None = None,
    n: int = 20,
    confidence: float = 0.95,
    truth: OtherTruth | None = None,
) -> Mistakes:
    """Analyse a model's errors; see `Database.errors`.

    Args:
        keys: int64 (n,); None is every sample that is ok.
        scope: the query text of `keys`, for example "in_slice('night')"; every finding's query
            starts with it.
        slices: name to keys of registered slices, for their shares of the errors.
        truth: what stands in place of the label.

    Raises:
        CheckError: `unsure` is above `sure`, or `scope` is no predicate.
        SliceDBError: no labels, no predictions, no such column.
    """
    check_scope(scope)
    predicted = select(store, model, keys, columns=[c for c in by if c != "label"], truth=truth)
    unsure = _unsure(predicted, sure, unsure)
    wrong = ~predicted.outcomes.correct
    order = _by_loss(predicted)
    return Mistakes(
        model,
        predicted.n,
        int(wrong.sum()),
        predicted.left_out,
        _review_sets(predicted, wrong, order, scope, sure, unsure),
        _top(predicted, order[:n]),
        _top_query(predicted, order[:n], scope, n),
        _pairs(predicted, wrong, scope, n, confidence),
        all_shares(predicted, wrong, slices, by, scope, confidence),
        truth=truth,
        agreements=agreements(
            store, [model], truth, [predicted.asked], scopes=[scope], confidence=confidence
        ),
    )


def _top_query(predicted: Predicted, at: Ints, scope: str, n: int) -> str:
    """Return the text that finds the largest losses again."""
    name = sql.name(predicted.model)
    if predicted.aligned.truth is None:
        where = sql.conjunction(scope, f"{name}.loss IS NOT NULL")
        return f"{where} ORDER BY {name}.loss DESC, id LIMIT {n}"
    at = at[~np.isnan(predicted.loss[at])]  # stored losses speak of the label
    return sql.is_in("id", predicted.rows["id"].take(pa.array(at)).to_pylist())


def _unsure(predicted: Predicted, sure: float, given: float | None) -> float:
    """Return the confidence below which a prediction counts as unsure.

    Raises:
        CheckError: it is above `sure`, or so low that no prediction can be below it.
    """
    binary = predicted.n_classes == 2
    unsure = given if given is not None else min(0.6 if binary else 0.5, sure)
    if not 0 <= unsure <= sure <= 1:
        raise CheckError(
            f"unsure is {unsure:g} and sure {sure:g}.", "both lie in [0, 1], unsure below sure."
        )
    if binary and given is not None and 0 < given <= 0.5:
        raise CheckError(
            f"unsure is {given:g}, and of two classes one always has a confidence of 0.5 or more.",
            "give more, such as 0.6.",
        )
    return unsure


def _by_loss(predicted: Predicted) -> Ints:
    """Return the rows by falling loss, unknown losses last, equal ones by id."""
    loss = predicted.loss
    names = predicted.rows["id"].combine_chunks()
    by_id = pc.array_sort_indices(names).to_numpy().astype(np.int64)
    key = np.where(np.isnan(loss), -np.inf, loss)[by_id]
    return np.asarray(by_id[np.argsort(-key, kind="stable")])


def _review_sets(
    predicted: Predicted, wrong: Bools, order: Ints, scope: str, sure: float, unsure: float
) -> tuple[ReviewSet, ...]:
    m = sql.name(predicted.model)
    certain = predicted.confidence >= np.float32(sure)
    doubtful = predicted.confidence < np.float32(unsure)
    high, low = f"{m}.confidence >= {sure!r}", f"{m}.confidence < {unsure!r}"
    bad, good = predicted.aligned.wrong, predicted.aligned.right
    rows: tuple[tuple[str, str, Bools, tuple[str, ...]], ...] = (
        (
            "sure_and_wrong",
            "confident, but wrong: look for wrong labels and blind spots",
            certain & wrong,
            (high, bad),
        ),
        (
            "wrong_in_between",
            "wrong, neither sure nor unsure",
            wrong & ~certain & ~doubtful,
            (f"{m}.confidence >= {unsure!r}", f"{m}.confidence < {sure!r}", bad),
        ),
        (
            "unsure_and_wrong",
            "unsure, and wrong: more data like these",
            doubtful & wrong,
            (low, bad),
        ),
        ("unsure_and_right", "unsure, though right: close calls", doubtful & ~wrong, (low, good)),
    )
    return tuple(
        ReviewSet(
            name,
            text,
            sql.conjunction(scope, *parts),
            int(members.sum()),
            float(members.mean()),
            predicted.keys[order[members[order]]],
        )
        for name, text, members, parts in rows
    )


def _top(predicted: Predicted, at: Ints) -> pa.Table:
    at = at[~np.isnan(predicted.loss[at])]
    names = ["id", "label", "prediction", "loss", "confidence", "margin"]
    rows = predicted.rows.select(names).take(at)
    return rows.append_column("correct", pa.array(predicted.outcomes.correct[at]))


def _pairs(
    predicted: Predicted, wrong: Bools, scope: str, most: int, confidence: float
) -> tuple[ConfusedPair, ...]:
    names = predicted.outcomes.classes
    label, prediction = predicted.outcomes.label, predicted.outcomes.prediction
    codes, counts = np.unique(label[wrong] * len(names) + prediction[wrong], return_counts=True)
    chosen = np.lexsort((codes, -counts))[:most]
    sizes = np.bincount(label, minlength=len(names))
    total, m = int(wrong.sum()), sql.name(predicted.model)
    pairs = []
    for code, count in zip(codes[chosen].tolist(), counts[chosen].tolist()):
        truth, taken = divmod(code, len(names))
        low, high = stats.wilson(count, sizes[truth], confidence)
        text = sql.conjunction(
            scope,
            f"{predicted.label} = {sql.literal(names[truth])}",
            f"{m}.prediction = {sql.literal(names[taken])}",
        )
        pairs.append(
            ConfusedPair(
                names[truth],
                names[taken],
                count,
                count / total,
                count / int(sizes[truth]),
                text,
                float(low),
                float(high),
            )
        )
    return tuple(pairs)
