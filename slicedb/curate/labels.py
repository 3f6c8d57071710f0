"""Find labels that are likely wrong, from what a model says that did not see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql
from slicedb.curate import verdicts
from slicedb.curate.seen import Seen, by_fold, refuse_seen, seen
from slicedb.curate.splits import stored
from slicedb.curate.suspects import LabelErrors, by_ids, samples_of, scope_of
from slicedb.curate.wrongboxes import box_findings, wrong_boxes
from slicedb.curate.wronglabels import (
    Part,
    Rank,
    Ranked,
    known,
    label_findings,
    wrong_labels,
    wrong_sets,
)
from slicedb.curate.wrongpixels import wrong_pixels
from slicedb.errors import CheckError, PredictionError
from slicedb.judge import load
from slicedb.judge.aligned import universe
from slicedb.keys import Keys
from slicedb.metrics import Outcomes
from slicedb.metrics.multilabel import LabelSets
from slicedb.metrics.outcomes import Ints
from slicedb.metrics.segmented import PixelCounts
from slicedb.schema import IS_SHOWN, PREDICTIONS, SAMPLES
from slicedb.show import numbers
from slicedb.store import Store

if TYPE_CHECKING:
    import os

    from slicedb.analysis import Cleaner

Kind: TypeAlias = Literal["auto", "classification", "multilabel", "detection", "segmentation"]

_LEAST = 30
"""Samples below which nothing is said."""
_UNITS = {
    "classification": "labels",
    "multilabel": "decisions",
    "detection": "boxes",
    "segmentation": "regions",
}


@dataclass(frozen=True, eq=False)
class _Judged:
    """Samples with a label and a prediction, part after part."""

    task: str
    outcomes: Any
    """One per part, as the task makes them."""
    keys: Keys
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def labels(
    store: Store,
    model: str,
    keys: Keys,
    *,
    scope: str | None = "",
    fold: str | None = None,
    kind: Kind = "auto",
    rank: Rank = "auto",
    told: Keys | None = None,
    into: str | None = None,
    n: int = 10,
) -> LabelErrors:
    """Rank the labels of samples by how likely they are wrong; see `Database.labels`.

    Args:
        store: the database.
        model: whose predictions; with `fold` what the models are called in front of `_0`, `_1`.
        keys: int64 (n,): the samples.
        scope: their predicate; None where no text names them.
        fold: the column that says which model did not see a sample.
        kind: the task that the predictions must be of.
        rank: what labels are ranked by.
        told: int64: the samples that the model was trained on, where the user says it.
        into: the column that the scores are written to.
        n: rows that are printed.

    Raises:
        PredictionError: no predictions, none with probabilities, or the model was trained on some
            of the samples.
        CheckError: fewer than 30 samples, or all of one class.
    """
    judged = _judged(store, model, keys, fold, told)
    scope = scope_of(scope)
    _check(model, judged, kind)
    ids = store.take(SAMPLES, judged.keys, ["id"])["id"]
    notes = judged.notes
    if judged.task == "detection":
        ranked, n_judged = _boxes(store, judged, ids)
    elif judged.task == "segmentation":
        ranked, n_judged = wrong_pixels(_one_map(judged.outcomes), ids)
    elif judged.task == "multilabel":
        ranked = wrong_sets(_one_set(judged.outcomes), ids, rank)
        n_judged = len(judged.keys) * judged.outcomes[0].probabilities.shape[1]
    else:
        outcomes, inside = _known(judged)
        if not inside.all():
            notes += (_unknown(judged, ids, inside),)
        rows = np.flatnonzero(inside)
        parts = [Part(p.model, p.where, np.flatnonzero(inside[p.rows])) for p in judged.parts]
        ranked = wrong_labels(outcomes, ids.take(pa.array(rows)), parts, rank)
        judged = _Judged(judged.task, [outcomes], judged.keys[rows], tuple(parts), notes)
        ids, n_judged = ids.take(pa.array(rows)), len(rows)
    own = judged.keys[ranked.at]
    findings = (
        box_findings(ranked.rows, own)
        if judged.task == "detection"
        else label_findings(ranked, own, scope)
    )
    if into is not None:
        _write(store, ids, pa.array(ranked.score), into)
    distinct_keys, distinct_ids = samples_of(ranked.rows, own)
    said = ranked.where(None) if scope is not None else ""
    return LabelErrors(
        model,
        judged.task,
        ranked.rank,
        n_judged,
        _UNITS[judged.task],
        len(judged.keys),
        len(np.unique(keys)) - len(judged.keys),
        findings,
        ranked.rows,
        sql.conjunction(scope or "", said) if said else by_ids(distinct_ids),
        distinct_keys,
        n,
        (*ranked.notes, *notes),
    )


def _judged(store: Store, model: str, keys: Keys, fold: str | None, told: Keys | None) -> _Judged:
    """Gather the samples that each model judges, and refuse those that it was trained on."""
    named = {model: ("", keys)} if fold is None else by_fold(store, model, fold, keys)
    outcomes, chosen, parts, notes, start = [], [], [], [], 0
    every = universe(store)
    for name, (where, own) in named.items():
        aligned = load(store, name)
        if fold is None:
            facts = seen(store, name) if told is None else Seen(told, "so seen= says", "")
            refuse_seen(name, own, facts, next(iter(_folds(store)), ""))
            notes += [_unrecorded(name)] if facts is None else []
        at = aligned.row_of[every.rows(own)]
        at = at[at >= 0]
        outcomes.append(aligned.outcomes.take(at))
        chosen.append(aligned.keys[at])
        parts.append(Part(name, where, np.arange(start, start + len(at))))
        start += len(at)
    tasks = {part.task for part in outcomes}
    if len(tasks) > 1:
        raise PredictionError(
            f"The models of the folds are of different tasks: {', '.join(sorted(tasks))}.",
            "all of them must predict one thing.",
        )
    return _Judged(tasks.pop(), outcomes, np.concatenate(chosen), tuple(parts), tuple(notes))


def _folds(store: Store) -> list[str]:
    return [name for name, how in stored(store).items() if how["plan"]["folds"]]


def _unrecorded(model: str) -> str:
    return (
        f"Nothing tells what '{model}' was trained on. Labels that it was trained on look right "
        "to it: say which these are with seen= (--seen), or register it with --trained-on."
    )


def _check(model: str, judged: _Judged, kind: Kind) -> None:
    if judged.task not in _UNITS:
        raise CheckError(
            f"'{model}' is a model of {judged.task}: nothing says which of its labels are wrong.",
            "name a model that classifies, detects or segments.",
        )
    if kind not in ("auto", judged.task):
        raise CheckError(
            f"'{model}' is a model of {judged.task}, not of {kind}.",
            f"say kind='{judged.task}', or leave it out.",
        )
    n = len(judged.keys)
    if n < _LEAST:
        raise CheckError(
            f"Only {numbers.count(n, 'sample')} {'has' if n == 1 else 'have'} both a label and a "
            f"prediction of '{model}'.",
            f"it takes {_LEAST} to tell errors from chance; widen the query, or predict more.",
        )
    lacking = [
        part.model
        for part, one in zip(judged.parts, judged.outcomes)
        if judged.task in ("classification", "multilabel") and one.probabilities is None
    ]
    if lacking:
        raise PredictionError(
            f"Only the predicted class of '{lacking[0]}' is stored, no probabilities: how far a "
            "label is doubted cannot be told.",
            "log the predictions again with probabilities or logits.",
        )


def _known(judged: _Judged) -> tuple[Outcomes, np.ndarray]:
    """Return the samples whose label their model can say as one, and which these are."""
    parts: Sequence[Outcomes] = judged.outcomes
    classes = _classes(judged)
    inside = [known(part) for part in parts]
    chosen = [part.take(np.flatnonzero(rows)) for part, rows in zip(parts, inside)]
    return (
        Outcomes(
            classes,
            np.concatenate([part.label for part in chosen]),
            np.concatenate([part.prediction for part in chosen]),
            probabilities=np.concatenate([_p(part) for part in chosen]),
        ),
        np.concatenate(inside),
    )


def _one_set(parts: Sequence[LabelSets]) -> LabelSets:
    width = {_p(part).shape[1] for part in parts}
    if len(width) > 1 or len({part.classes[: min(width)] for part in parts}) > 1:
        raise _other_classes()
    c = width.pop()
    return LabelSets(
        parts[0].classes[:c],
        np.concatenate([part.truth[:, :c] for part in parts]),
        np.concatenate([part.predicted[:, :c] for part in parts]),
        np.concatenate([_p(part) for part in parts]),
    )


def _one_map(parts: Sequence[PixelCounts]) -> PixelCounts:
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    recoded = [part.with_classes(classes) for part in parts]
    start = np.cumsum([0, *(part.n for part in recoded)])
    return PixelCounts(
        classes,
        int(start[-1]),
        np.concatenate([part.row + first for part, first in zip(recoded, start)]),
        np.concatenate([part.truth for part in recoded]),
        np.concatenate([part.prediction for part in recoded]),
        np.concatenate([part.pixels for part in recoded]),
    )


def _classes(judged: _Judged) -> tuple[str, ...]:
    sets: set[tuple[str, ...]] = {one.classes[: _p(one).shape[1]] for one in judged.outcomes}
    if len(sets) > 1:
        raise _other_classes()
    return sets.pop()


def _other_classes() -> PredictionError:
    return PredictionError(
        "The models of the folds have different classes.",
        "log their predictions with the same `classes`, in one order.",
    )


def _p(part: Outcomes | LabelSets) -> np.ndarray:
    assert part.probabilities is not None
    return part.probabilities


def _unknown(judged: _Judged, ids: pa.ChunkedArray, inside: np.ndarray) -> str:
    """Say which labels no model can say."""
    names = set()
    for part in judged.outcomes:
        width = _p(part).shape[1]
        names |= {part.classes[code] for code in np.unique(part.label[part.label >= width])}
    query = sql.is_in("label", sorted(names)[:20])
    n = int((~inside).sum())
    has = "sample has a label" if n == 1 else "samples have labels"
    return f"{n:,} {has} that the model does not know, and no score: {query}"


def _boxes(store: Store, judged: _Judged, ids: pa.ChunkedArray) -> tuple[Ranked, int]:
    tables, places, n = [], [], 0
    lowest = np.ones(len(ids))
    for part in judged.parts:
        own = judged.keys[part.rows]
        predicted = store.take(PREDICTIONS + part.model, own, ["objects"])["objects"]
        truth = store.take(SAMPLES, own, ["objects"])["objects"]
        found = wrong_boxes(predicted, truth, ids.take(pa.array(part.rows)), part.model)
        tables.append(found.rows)
        places.append(part.rows[found.image])
        lowest[part.rows] = found.lowest
        n += found.n
    rows = pa.concat_tables(tables)
    at: Ints = np.concatenate(places)
    order = np.lexsort((at, rows["score"].to_numpy()))
    return Ranked(lowest, rows.take(pa.array(order)), at[order], "a score per box", ()), n


def _write(store: Store, ids: pa.ChunkedArray, score: pa.Array, column: str) -> None:
    from slicedb.ingest.attach import attach

    attach(store, pa.table({"id": ids, column: score}), partial=True)


def answer(
    store: Store, report: LabelErrors, path: str | os.PathLike[str], session: Cleaner
) -> None:
    """Keep what people say in a file of the labels that are likely wrong.

    Args:
        store: the database.
        report: what they were asked about.
        path: a CSV file, see `verdicts.read`.
        session: where corrected labels and samples to delete are decided.
    """
    given = store.table(SAMPLES, ["label"], where=f"({IS_SHOWN}) AND label IS NOT NULL")
    names = {*pc.unique(given["label"]).to_pylist(), *report.rows["suggested"].to_pylist()}
    classes = sorted(name for name in names if name is not None)
    answers = verdicts.read(path, report.rows.to_pylist(), classes)
    verdicts.put(store, report.model, answers, session)


def answered(store: Store, report: LabelErrors, block: int, stop: float) -> LabelErrors:
    """Return labels that are likely wrong with what people said of them so far.

    Args:
        store: the database.
        report: the labels.
        block: answers of the last block, whose precision is held against `stop`.
        stop: the precision below which asking is not worth while.
    """
    words = verdicts.words(store, report.model, report.rows.to_pylist())
    at = report.rows.schema.get_field_index("verdict")
    rows = report.rows.set_column(at, "verdict", pa.array(words, pa.string()))
    return replace(report, rows=rows, verdicts=verdicts.count(store, report.model, block, stop))
