"""Store predictions made elsewhere, from a table or a file, at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from slicedb.predictions.coco import from_coco, read_json
from slicedb.predictions.collected import PredictionLog
from slicedb.predictions.files import GivenTable, open_table
from slicedb.predictions.unseen import unseen_by, unseen_text, with_nothing_found
from slicedb.schema import SAMPLES, keys_of
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.store import Store

_LOOKED_AT = 32
"""Ids that are looked up to see whether a prefix wants a slash."""


def _lacks_slash(store: Store, ids: pa.Array, prefix: str) -> bool:
    """Return whether a prefix makes samples only with the slash that ingest puts behind its own."""
    if not prefix or prefix.endswith("/") or not len(ids):
        return False
    some = [str(name) for name in ids[:_LOOKED_AT].to_pylist() if name is not None]
    slashed = [f"{prefix}/{name[len(prefix) :]}" for name in some]
    both = [*some, *slashed]
    known = store.present(SAMPLES, keys_of(both), ids=both)
    return bool(not known[: len(some)].any() and known[len(some) :].any())


@dataclass(frozen=True)
class LogReport(Record):
    """What was stored of predictions made elsewhere."""

    model: str
    logged: int
    """Samples that have a prediction now from this call."""
    classes: tuple[str, ...]
    seconds: float
    as_given: tuple[str, ...] = ()
    """Columns, such as `loss`, that are as they were given, since they could not be computed."""
    unseen: int = 0
    """Of a detector: annotated pictures that have no row in its predictions."""
    annotated: int = 0
    """Of a detector: pictures that are annotated."""
    notes: tuple[str, ...] = ()
    """How what was given is read, where that is not plain."""

    def __str__(self) -> str:
        classes = f" of {count(len(self.classes), 'class', 'classes')}" if self.classes else ""
        predictions = count(self.logged, "prediction")
        text = f"{self.model}: {predictions}{classes} logged ({self.seconds:.1f} s)"
        text += "".join(f"\n  {note}" for note in self.notes)
        if self.as_given:
            text += f"\n  As given, not computed here: {', '.join(self.as_given)}."
        if self.unseen:
            text += f"\n  {unseen_text(self.model, self.unseen, self.annotated)}"
        return text


def log(
    store: Store,
    model_name: str,
    data: object,
    *,
    classes: Sequence[str] | None = None,
    annotations: str | os.PathLike[str] | None = None,
    id_column: str = "id",
    prefix: str = "",
    replace: bool = False,
    target: str | None = None,
    multilabel: bool = False,
    confidence: float | None = None,
    looked_at: Sequence[str] | None = None,
) -> LogReport:
    """Store predictions made elsewhere, all of them or none; see `Database.log_predictions`.

    Columns of a classifier: `id`, and either `prediction` (with `confidence`), or `probabilities`
    or `logits` (a list a row), or one column of probabilities a class. Of a detector: `id` and
    `objects`, a list of {label, bbox [x, y, w, h] in pixels, score}; or a row a box with `id`,
    `label`, `score` and `bbox` or `x, y, w, h`; or results or a whole file of COCO as JSON. A table
    of boxes does not say in which pictures the model found nothing: the ids in `looked_at`
    do, and so does a row without a box, or COCO's list of images. Of a regression: `id` and
    `value`. A table of `score`, `loss` and the like alone is kept for queries, and cannot be
    judged. Other columns are kept as they are. One that has the name of a column of ours is
    kept where we cannot compute it (`loss` without probabilities), and refused where it says
    something else.

    Probabilities are float64 where they were given so, else float32, and the prediction is decided
    by them as given (by the logits, if there are some). Rows whose sum is within 0.001 of 1 are
    taken as they are, within 0.01 they are divided by it, which `given_sum` then holds.
    """
    started = time.perf_counter()
    place = str(data) if isinstance(data, str | os.PathLike) else "the table"
    with PredictionLog(
        store,
        model_name,
        classes=classes,
        replace=replace,
        target=target,
        multilabel=multilabel,
        confidence=confidence,
    ) as sink:
        sink.place = place
        if place.lower().endswith(".json"):
            results, ids = read_json(Path(place)), store.table(SAMPLES, ["id"])["id"]
            file = None if annotations is None else Path(annotations)
            before = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
            table, notes = from_coco(results, ids.to_pylist(), classes, file, place, before)
            sink.notes += notes
            given = GivenTable.of(table)
        else:
            given = open_table(data, id_column, prefix, place)
            if _lacks_slash(store, given.ids, prefix):
                given = open_table(data, id_column, f"{prefix}/", place)
        task = sink.recognise(given.names)
        if looked_at is not None or not task.one_row_each:
            table = task.grouped(given.table(), place)
            if looked_at is not None:
                table = with_nothing_found(table, looked_at, place)
            given = GivenTable.of(table)
        sink.write(given)
    seconds = time.perf_counter() - started
    unseen, annotated = unseen_by(store, model_name)
    kept = tuple(sink.as_given)
    return LogReport(
        model_name,
        len(sink),
        tuple(sink.classes),
        seconds,
        kept,
        unseen,
        annotated,
        tuple(sink.notes),
    )
