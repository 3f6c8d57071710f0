"""Where a model is wrong: review sets, top losses, confused pairs, each slice's share.

Every finding carries a query text, so that naming it as a slice is one line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import stats
from slicedb.decide import words
from slicedb.decide.reading import Predicted, memberships, read
from slicedb.errors import CheckError, SliceError

if TYPE_CHECKING:
    from slicedb.store import Store

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MOST_VALUES = 200
"""A column with more values than this does not group samples."""


@dataclass(frozen=True)
class Finding:
    """A review set."""

    name: str
    """Also its tag."""
    description: str
    query: str
    """The text that finds it again."""
    n: int
    share: float
    """Of all samples judged."""
    keys: Ints = field(repr=False, compare=False)
    """int64 (n,): its samples, the largest loss first."""


@dataclass(frozen=True)
class ConfusedPair:
    """One class taken for another."""

    truth: str
    prediction: str
    n: int
    share: float
    """Of all errors."""
    rate: float
    """Of the samples of the true class."""
    low: float
    """Wilson bound of the rate."""
    high: float
    """Wilson bound of the rate."""
    query: str


@dataclass(frozen=True)
class SliceShare:
    """How much of all errors lies in one slice."""

    slice: str
    n: int
    n_errors: int
    share_of_samples: float
    share_of_errors: float
    low: float
    """Wilson bound of the share of errors."""
    high: float
    """Wilson bound of the share of errors."""
    lift: float
    """Share of errors over share of samples; 1 where errors fall evenly."""
    query: str
    """The slice's errors."""

    @property
    def is_heavy(self) -> bool:
        """Whether the whole interval lies above the slice's share of samples."""
        return self.low > self.share_of_samples


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The error analysis of one model."""

    model: str
    n: int
    """Samples judged: those with a label and a prediction."""
    n_errors: int
    left_out: int
    findings: tuple[Finding, ...]
    top: pa.Table
    """The largest losses: id, label, prediction, loss, confidence, margin, correct."""
    top_query: str
    pairs: tuple[ConfusedPair, ...]
    """The most frequent first."""
    shares: tuple[SliceShare, ...]
    """The highest lift first; slices without samples are left out."""

    @property
    def tags(self) -> dict[str, Ints]:
        """The review sets as tags: tag to keys."""
        return {finding.name: finding.keys for finding in self.findings}

    def finding(self, name: str) -> Finding:
        """Return a review set by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return {finding.name: finding for finding in self.findings}[name]

    def to_arrow(self) -> pa.Table:
        """Return every finding, pair and share in one table: kind, name, n, share, query."""
        rows: list[dict[str, Any]] = [
            {"kind": "set", "name": f.name, "n": f.n, "share": f.share, "query": f.query}
            for f in self.findings
        ]
        rows += [
            {
                "kind": "pair",
                "name": f"{p.truth} as {p.prediction}",
                "n": p.n,
                "share": p.share,
                "query": p.query,
            }
            for p in self.pairs
        ]
        rows += [
            {
                "kind": "slice",
                "name": s.slice,
                "n": s.n_errors,
                "share": s.share_of_errors,
                "query": s.query,
            }
            for s in self.shares
        ]
        return pa.Table.from_pylist(rows, _SUMMARY)

    def __str__(self) -> str:
        rate = self.n_errors / self.n
        parts = [
            f"{self.model}: {self.n_errors:,} errors in {self.n:,} samples ({rate:.1%}), "
            f"{self.left_out:,} left out"
        ]
        sets = [[f.name, f"{f.n:,}", f"{f.share:.1%}", f.query] for f in self.findings]
        parts.append(words.columns(["review set", "n", "share", "query"], sets))
        if self.pairs:
            pairs = [
                [
                    f"{p.truth} as {p.prediction}",
                    f"{p.n:,}",
                    f"{p.share:.1%}",
                    f"{p.rate:.1%}",
                    p.query,
                ]
                for p in self.pairs
            ]
            head = ["confused", "n", "of errors", "of class", "query"]
            parts.append(words.columns(head, pairs))
        if self.shares:
            shares = [
                [
                    s.slice,
                    f"{s.n_errors:,}",
                    f"{s.share_of_samples:.1%}",
                    f"{s.share_of_errors:.1%}",
                    f"{s.low:.1%} to {s.high:.1%}",
                    f"{s.lift:.2f}",
                ]
                for s in self.shares
            ]
            head = ["slice", "errors", "of samples", "of errors", "interval", "lift"]
            parts.append(words.columns(head, shares))
        if len(self.top):
            top = [
                [
                    str(r["id"]),
                    r["label"],
                    r["prediction"],
                    words.number(_float(r["loss"])),
                    words.number(_float(r["confidence"])),
                ]
                for r in self.top.slice(0, 5).to_pylist()
            ]
            parts.append(words.columns(["top loss", "truth", "said", "loss", "confidence"], top))
        return "\n\n".join(parts)


_NOT_PREDICATE = re.compile(r"^\s*(select|with|from)\b|\b(order\s+by|limit)\b", re.IGNORECASE)

_SUMMARY = pa.schema(
    [
        ("kind", pa.string()),
        ("name", pa.string()),
        ("n", pa.int64()),
        ("share", pa.float64()),
        ("query", pa.string()),
    ]
)


def errors(
    store: Store,
    model: str,
    keys: Ints | None = None,
    *,
    scope: str = "",
    slices: Mapping[str, Ints] | None = None,
    by: Sequence[str] = ("label",),
    sure: float = 0.9,
    unsure: float = 0.5,
    n: int = 20,
    confidence: float = 0.95,
) -> Mistakes:
    """Analyse a model's errors.

    Args:
        store: the database.
        model: whose predictions.
        keys: int64 (n,); None is every sample that is ok.
        scope: the query text of `keys`, for example "in_slice('night')"; every finding's query
            starts with it.
        slices: name to keys of registered slices, for their shares of the errors.
        by: columns of samples whose values are slices, too.
        sure: confidence from which a mistake is a confident one.
        unsure: confidence below which a prediction is unsure.
        n: rows of the top losses and of the confused pairs.
        confidence: of the intervals.

    Raises:
        CheckError: `unsure` is above `sure`, or `scope` is no predicate.
        SliceDBError: no labels, no predictions, no such column.
    """
    if not 0 <= unsure <= sure <= 1:
        raise CheckError(
            f"unsure is {unsure:g} and sure {sure:g}.", "both lie in [0, 1], unsure below sure."
        )
    if _NOT_PREDICATE.search(scope):
        raise CheckError(
            f"The scope {scope!r} is not a predicate.",
            "name it as a slice and say in_slice('name').",
        )
    found = read(store, model, keys, columns=[c for c in by if c != "label"])
    wrong = ~found.outcomes.correct
    order = _by_loss(found)
    shares = [
        *_slice_shares(found, wrong, slices, scope, confidence),
        *_column_shares(found, wrong, by, scope, confidence),
    ]
    return Mistakes(
        model,
        found.n,
        int(wrong.sum()),
        found.left_out,
        _review_sets(found, wrong, order, scope, sure, unsure),
        _top(found, order[:n]),
        f"{words.conjunction(scope, f'{words.name(model)}.loss IS NOT NULL')} "
        f"ORDER BY {words.name(model)}.loss DESC, id LIMIT {n}",
        _pairs(found, wrong, scope, n, confidence),
        tuple(sorted(shares, key=lambda s: (-s.lift, -s.n_errors, s.slice))),
    )


def _by_loss(found: Predicted) -> Ints:
    """Return the rows by falling loss, unknown losses last, equal ones by id."""
    loss = found.loss
    names = found.rows["id"].combine_chunks()
    by_id = pc.array_sort_indices(names).to_numpy().astype(np.int64)
    key = np.where(np.isnan(loss), -np.inf, loss)[by_id]
    return np.asarray(by_id[np.argsort(-key, kind="stable")])


def _review_sets(
    found: Predicted, wrong: Bools, order: Ints, scope: str, sure: float, unsure: float
) -> tuple[Finding, ...]:
    m = words.name(found.model)
    certain = found.confidence >= np.float32(sure)
    doubtful = found.confidence < np.float32(unsure)
    high, low = f"{m}.confidence >= {sure!r}", f"{m}.confidence < {unsure!r}"
    bad, good = f"NOT {m}.correct", f"{m}.correct"
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
        Finding(
            name,
            text,
            words.conjunction(scope, *parts),
            int(members.sum()),
            float(members.mean()),
            found.keys[order[members[order]]],
        )
        for name, text, members, parts in rows
    )


def _top(found: Predicted, at: Ints) -> pa.Table:
    at = at[~np.isnan(found.loss[at])]
    names = ["id", "label", "prediction", "loss", "confidence", "margin"]
    rows = found.rows.select(names).take(at)
    return rows.append_column("correct", pa.array(found.outcomes.correct[at]))


def _pairs(
    found: Predicted, wrong: Bools, scope: str, most: int, confidence: float
) -> tuple[ConfusedPair, ...]:
    names = found.outcomes.classes
    label, prediction = found.outcomes.label, found.outcomes.prediction
    codes, counts = np.unique(label[wrong] * len(names) + prediction[wrong], return_counts=True)
    chosen = np.lexsort((codes, -counts))[:most]
    sizes = np.bincount(label, minlength=len(names))
    total, m = int(wrong.sum()), words.name(found.model)
    pairs = []
    for code, count in zip(codes[chosen].tolist(), counts[chosen].tolist()):
        truth, said = divmod(code, len(names))
        low, high = stats.wilson(count, sizes[truth], confidence)
        text = words.conjunction(
            scope,
            words.equals("label", names[truth]),
            f"{m}.prediction = {words.literal(names[said])}",
        )
        pairs.append(
            ConfusedPair(
                names[truth],
                names[said],
                count,
                count / total,
                count / int(sizes[truth]),
                float(low),
                float(high),
                text,
            )
        )
    return tuple(pairs)


def _slice_shares(
    found: Predicted,
    wrong: Bools,
    slices: Mapping[str, Ints] | None,
    scope: str,
    confidence: float,
) -> list[SliceShare]:
    return [
        _share(found, wrong, name, at, f"in_slice({words.literal(name)})", scope, confidence)
        for name, at in memberships(found, slices).items()
        if len(at)
    ]


def _column_shares(
    found: Predicted, wrong: Bools, by: Sequence[str], scope: str, confidence: float
) -> list[SliceShare]:
    result = []
    for column in by:
        coded = pc.dictionary_encode(found.rows[column].combine_chunks(), null_encoding="encode")
        values = coded.dictionary.to_pylist()
        if len(values) > _MOST_VALUES:
            raise SliceError(
                f"The column '{column}' has {len(values):,} values.",
                f"name columns of at most {_MOST_VALUES}, or make slices of ranges.",
            )
        codes = coded.indices.to_numpy(zero_copy_only=False)
        for code, value in enumerate(values):
            text = words.equals(column, value)
            at = np.flatnonzero(codes == code)
            result.append(_share(found, wrong, text, at, text, scope, confidence))
    return result


def _share(
    found: Predicted,
    wrong: Bools,
    name: str,
    at: Ints,
    text: str,
    scope: str,
    confidence: float,
) -> SliceShare:
    total, inside = int(wrong.sum()), int(wrong[at].sum())
    low, high = stats.wilson(inside, total, confidence)
    of_samples = len(at) / found.n
    of_errors = inside / total if total else float("nan")
    query = words.conjunction(scope, text, f"NOT {words.name(found.model)}.correct")
    return SliceShare(
        name,
        len(at),
        inside,
        of_samples,
        of_errors,
        float(low),
        float(high),
        of_errors / of_samples,
        query,
    )


def _float(value: float | None) -> float:
    return float("nan") if value is None else value
