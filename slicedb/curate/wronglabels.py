"""Find wrong labels of classifiers: one label per sample, or any number of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.curate import confident
from slicedb.curate.noise import noise
from slicedb.curate.suspects import ROWS, Finding, by_ids, samples_of
from slicedb.errors import CheckError, PredictionError
from slicedb.keys import Keys
from slicedb.metrics import Outcomes
from slicedb.metrics.multilabel import LabelSets
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.show.numbers import count

Rank: TypeAlias = Literal[
    "auto", "posterior", "self-confidence", "margin", "entropy", "confident-learning"
]

_PAIRS = 10
"""Pairs of classes that are findings of their own."""
_PARTICULAR = 0.15
"""Concentration of wrong labels from which on they are taken to go to particular classes. With
CIFAR's labels and two models, labels that were changed at random gave 0 to 0.09, labels changed to
one particular class 0.22 to 0.9."""

WRONG = "wrong label"

Where: TypeAlias = Callable[[str | None], str]
"""From a suggested label, or None for all, to the predicate of likely errors."""


def nowhere(suggested: str | None) -> str:
    """Return "": no query can work the scores out."""
    return ""


@dataclass(frozen=True, eq=False)
class Part:
    """Samples that one model judges: all of them, or those of the fold that it did not see."""

    model: str
    where: str
    """The predicate of the samples, "" for all."""
    rows: Ints
    """int64: which of the samples judged."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Labels from the likeliest error on."""

    score: Floats
    """float64 (n,): of every sample judged, in [0, 1], the lowest is the likeliest error."""
    rows: pa.Table
    """The likely errors, see `ROWS`."""
    at: Ints
    """int64 (m,): the sample of each row."""
    rank: str
    notes: tuple[str, ...]
    where: Where = nowhere
    """The predicate of the likely errors, or of those with one suggested label."""
    pairs: tuple[tuple[str, str, Ints], ...] = ()
    """Label, suggested label, and the rows of the most frequent pairs."""


def wrong_labels(
    outcomes: Outcomes, ids: pa.ChunkedArray, parts: Sequence[Part], rank: Rank
) -> Ranked:
    """Rank the labels of classified samples.

    As many are likely errors as confident learning counts for another class than their label's;
    which ones, the ranking says.

    Args:
        outcomes: labels the model knows, with probabilities.
        ids: the samples.
        parts: who judges which.
        rank: what labels are ranked by; "auto" takes the posterior under the noise of the labels
            where wrong ones go to particular classes, else the self-confidence.

    Raises:
        CheckError: all labels are of one class, or none is of a class that the model knows.
    """
    assert outcomes.probabilities is not None
    label, p = outcomes.label, outcomes.probabilities.astype(np.float64)
    if not len(label):
        raise CheckError(
            "No sample has a label that is one of the model's classes.",
            "`slicedb map-labels` gives labels the names of a model's classes.",
        )
    if len(np.unique(label)) < 2:
        raise CheckError(
            f"Every one of {count(len(label), 'sample')} has the label "
            f"'{outcomes.classes[int(label[0])]}': nothing speaks for another one.",
            "judge samples of two classes or more.",
        )
    is_suspect = confident.suspects(label, p)
    how, score, notes = _scored(label, p, rank)
    order = np.argsort(score, kind="stable")
    where: Where = nowhere
    if how == "confident-learning":
        likely = order[is_suspect[order]]
    else:
        order = order[~outcomes.correct[order]]  # a label that the model says too is not doubted
        cut = _cut(score[order], int(is_suspect.sum()))
        likely = order[score[order] <= cut]
        where = partial(_predicate, how, cut, parts) if len(likely) else lambda _: "false"
    rival = confident.rival(label[likely], p[likely])
    names = np.array(outcomes.classes, object)
    rows = _rows(
        ids.take(pa.array(likely)),
        [WRONG] * len(likely),
        names[label[likely]],
        names[rival],
        score[likely],
        p[likely, rival],
    )
    pairs = pairs_of(names, label[likely], rival)
    return Ranked(score, rows, likely, how, notes, where, pairs)


def _scored(label: Ints, p: Floats, rank: Rank) -> tuple[str, Floats, tuple[str, ...]]:
    if rank == "confident-learning":
        return rank, confident.margin(label, p), ()
    if rank not in ("auto", "posterior"):
        return rank, confident.SCORES[rank](label, p), ()
    read = noise(label, p)
    if rank == "posterior":
        return rank, read.posterior(label, p), ()
    if not read.concentration > _PARTICULAR:
        why = "wrong labels do not go to particular classes"
        how, score = "self-confidence", confident.self_confidence(label, p)
    else:
        why = "wrong labels go to particular classes"
        how, score = "posterior", read.posterior(label, p)
    told = "" if np.isnan(read.concentration) else f" (concentration {read.concentration:.2f})"
    return how, score, (f"Ranked by {how}, since {why}{told}.",)


def _cut(ascending: Floats, n: int) -> float:
    """Return a score that lies between the n-th and the next one that differs."""
    if not n:
        return -1.0
    following = ascending[ascending > ascending[n - 1]]
    last = float(ascending[n - 1])
    return (last + float(following[0])) / 2 if len(following) else last


def _predicate(how: str, cut: float, parts: Sequence[Part], suggested: str | None) -> str:
    """Return the predicate of scores up to a cut, where a query can work the score out."""
    texts = []
    for part in parts:
        model = sql.name(part.model)
        own = f"{model}.probabilities[label]::DOUBLE"
        if how == "self-confidence":
            text = f"{own} <= {cut!r}"
        elif how == "margin":
            text = f"{model}.confidence::DOUBLE - {own} >= {1 - 2 * cut!r}"
        else:
            return ""
        wrong = f"NOT {model}.correct"
        if suggested is not None:
            wrong = f"{model}.prediction = {sql.literal(suggested)}"
        texts.append(sql.conjunction(part.where, wrong, text))
    return texts[0] if len(texts) == 1 else " OR ".join(f"({text})" for text in texts)


def pairs_of(names: np.ndarray, label: Ints, rival: Ints) -> tuple[tuple[str, str, Ints], ...]:
    """Return label, suggested label and rows of the most frequent pairs.

    Args:
        names: of the classes.
        label: int64 (m,), an index into them.
        rival: int64 (m,), the suggested one.
    """
    codes = label * len(names) + rival
    values, counts = np.unique(codes, return_counts=True)
    most = values[np.lexsort((values, -counts))][:_PAIRS]
    return tuple(
        (names[int(v) // len(names)], names[int(v) % len(names)], np.flatnonzero(codes == v))
        for v in most
    )


def wrong_sets(outcomes: LabelSets, ids: pa.ChunkedArray, rank: Rank) -> Ranked:
    """Rank the decisions on the labels of samples that may have several.

    Each class is a question of its own with two answers. A decision's score is the probability of
    the answer given, that of a sample the lowest of its decisions.

    Args:
        outcomes: label sets with probabilities.
        ids: the samples.
        rank: what decisions are ranked by; of two answers, self-confidence, margin and "auto" are
            one score.
    """
    assert outcomes.probabilities is not None
    p = outcomes.probabilities.astype(np.float64)
    n, c = p.shape
    truth = outcomes.truth[:, :c].astype(np.int64)
    how = "self-confidence" if rank in ("auto", "margin", "confident-learning") else rank
    score, is_suspect = np.empty((n, c)), np.zeros((n, c), bool)
    for k in range(c):
        two = np.stack([1 - p[:, k], p[:, k]], axis=1)
        is_suspect[:, k] = confident.suspects(truth[:, k], two)
        if how == "posterior":
            score[:, k] = noise(truth[:, k], two).posterior(truth[:, k], two)
        else:
            score[:, k] = confident.SCORES[how](truth[:, k], two)
    sample, klass = np.nonzero(is_suspect)
    order = np.argsort(score[sample, klass], kind="stable")
    sample, klass = sample[order], klass[order]
    has = truth[sample, klass] == 1
    names = np.array(outcomes.classes, object)[klass]
    rows = _rows(
        ids.take(pa.array(sample)),
        np.where(has, "extra label", "missing label").tolist(),
        pa.array(names, pa.string(), mask=~has),
        pa.array(names, pa.string(), mask=has),
        score[sample, klass],
        np.where(has, 1 - p[sample, klass], p[sample, klass]),
    )
    return Ranked(score.min(axis=1), rows, sample, how, ())


def _rows(
    ids: pa.ChunkedArray,
    kinds: Sequence[str],
    label: np.ndarray | pa.Array,
    suggested: np.ndarray | pa.Array,
    score: Floats,
    confidence: Floats,
) -> pa.Table:
    n = len(ids)
    queries = [sql.equals("id", name) for name in ids.to_pylist()]
    columns = [
        ids.cast(pa.string()),
        pa.array(kinds, pa.string()),
        pa.array(label, pa.string()),
        pa.array(suggested, pa.string()),
        pa.array(score),
        pa.array(confidence),
        pa.nulls(n, pa.int64()),
        pa.nulls(n, pa.int64()),
        pa.array(queries, pa.string()),
        pa.nulls(n, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ROWS)


def label_findings(ranked: Ranked, keys: Keys, scope: str | None) -> tuple[Finding, ...]:
    """Return the findings: all of a kind, and the most frequent pairs.

    Args:
        ranked: the likely errors.
        keys: int64 (m,): the sample of each row.
        scope: the predicate of the samples judged; None where no text names them.
    """
    kinds = ranked.rows["kind"].combine_chunks().dictionary_encode()
    code = kinds.indices.to_numpy(zero_copy_only=False)

    def finding(
        name: str, kind: str, label: str | None, suggested: str | None, at: Ints
    ) -> Finding:
        own, ids = samples_of(ranked.rows.take(pa.array(at)), keys[at])
        said = ranked.where(suggested) if scope is not None else ""
        given = "" if label is None else sql.equals("label", label)
        query = sql.conjunction(scope or "", given, said) if said else by_ids(ids)
        return Finding(name, kind, label, suggested, len(at), len(own), query, own)

    return (
        *(
            finding(kind, kind, None, None, np.flatnonzero(code == number))
            for number, kind in enumerate(kinds.dictionary.to_pylist())
        ),
        *(
            finding(f"{a} as {b}", kinds.dictionary[0].as_py(), a, b, rows)
            for a, b, rows in ranked.pairs
        ),
    )


def known(outcomes: Outcomes) -> Bools:
    """Return bool (n,): the label is one that the model can say.

    Raises:
        PredictionError: there are no probabilities.
    """
    if outcomes.probabilities is None:
        raise PredictionError(
            "Only the predicted class is stored, no probabilities: how far a label is doubted "
            "cannot be told.",
            "log the predictions again with probabilities or logits.",
        )
    return np.asarray(outcomes.label < outcomes.probabilities.shape[1])
