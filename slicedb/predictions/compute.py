"""Compute missing and stale predictions in one batched pass, written as it goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.errors import PredictionError, did_you_mean
from slicedb.ingest.unverified import verify_at_use
from slicedb.models.model import Model
from slicedb.models.names import check_name
from slicedb.predictions.refresh import refresh
from slicedb.predictions.shares import Predicting, PredictJob
from slicedb.predictions.tables import prepare, table_of
from slicedb.progress import Watch, bar
from slicedb.schema import SAMPLES
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import Store
from slicedb.store.shares import Crew, Place, Tally, work_off
from slicedb.store.work import Samples, failures, missing, samples_of
from slicedb.tasks import TASKS, About, TruthColumn
from slicedb.tasks.arrays import one_array

if TYPE_CHECKING:
    import torch

    from slicedb.models.trust import Code


@dataclass(frozen=True)
class PredictReport(Record):
    """What a prediction run did."""

    model: str
    predicted: int
    """Samples that went through the model now, failed ones left out."""
    unchanged: int
    """Samples whose prediction was there already."""
    failed: int
    """Samples whose image did not decode, or whose output was no number; tried again next time."""
    quarantined: int
    """Samples asked for whose status is not ok; they are never predicted."""
    outside: int
    """Of a classifier: samples whose label is none of the model's classes; such a prediction is
    never correct, and has no loss."""
    seconds: float
    examples: tuple[str, ...] = ()
    """The first failures: id and reason."""
    replaced: int = 0
    """Rows of another model under this name (other weights, code or settings), now replaced."""
    notes: tuple[str, ...] = ()
    """What is to be known of how the outputs are read, and of what decoded the pictures."""
    gone: int = 0
    """Samples that another process deleted meanwhile; they are left out."""

    def __str__(self) -> str:
        rate = self.predicted / self.seconds if self.seconds > 0 else 0.0
        text = f"{self.model}: {self.predicted:,} predicted, {self.unchanged:,} unchanged"
        if self.quarantined:
            text += f", {self.quarantined:,} quarantined left out"
        text += f" ({self.seconds:.1f} s"
        text += f", {rate:,.0f} images/s)" if self.predicted else ")"
        text += failures(self.failed, self.examples, self.gone)
        if self.replaced:
            text += (
                "\n  The model changed since it predicted "
                f"{numbers.count(self.replaced, 'sample')}; these rows are replaced."
            )
        text += "".join(f"\n  {note}" for note in self.notes)
        if self.outside:
            text += (
                f"\n  {numbers.count(self.outside, 'sample has', 'samples have')} a label that "
                "is none of the model's classes: "
                "they count as wrong and have no loss. `slicedb map-labels OLD=NEW` (or a file) "
                f"gives labels other names, `slicedb map-labels --model {self.model}` those of its "
                "classes where labels are their numbers."
            )
        return text


def predict(
    store: Store,
    model_name: str,
    model: Model,
    keys: np.ndarray | None = None,
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    progress: Watch = None,
    crew: Crew | None = None,
    code: Code | None = None,
    decode: str = "cpu",
) -> PredictReport:
    """Predict the samples that have no prediction of their present image; see `Database.predict`.

    Rows are written every few thousand images or ten seconds, so that an interrupted run goes on
    where it stopped. When the model changed (weights, code, preprocessing or classes), its
    earlier rows are replaced by the first new ones.

    Args:
        keys: int64 (n,), repeated ones count once; None is every sample.
        crew: processes that do it; None is this one.
        code: what the model is loaded from there, as `Models.code` gives it.
        decode: which chip decodes in this process, see `inference.decoding.How`.

    Raises:
        ModelError: the model does not run.
        ClassesError: class list and output differ in number.
        PredictionError: the name belongs to predictions made elsewhere.
    """
    started = time.perf_counter()
    check_name(model_name, loose=True)
    model.check()
    verify_at_use(store, keys, progress)
    asked = samples_of(store, keys)
    samples = asked.rows
    about, anew = prepare(store, model_name, model)
    task = TASKS[about.task]
    check_truth(store, task.truth_of(about))
    table = table_of(model_name)
    if anew is None:
        refresh(store, model_name)
    done = store.table(table, ["key", "content", "error"])
    todo = missing(samples, done if anew is None else done.slice(0, 0))
    if not len(todo) and anew is None:
        return report_of(model_name, asked, about, started)
    rows = samples.take(pa.array(todo))
    with bar(len(todo), f"predict {model_name}", progress) as shown:
        if crew is not None and code is not None and len(rows):
            job = PredictJob.of(model_name, model, code, asked.version, batch_size, device)
            tally = work_off(store, job, rows, crew, shown)
        else:
            place = Place(None if device is None else str(device), threads, decode)
            work = Predicting(store, model_name, model, (about, anew), asked.version, batch_size)
            tally = work.at(place)(rows, shown)
    tally.decoded.record(store, table)
    refresh(store, model_name)  # labels may have changed while the model ran
    report = report_of(model_name, asked, about, started, len(todo), tally)
    replaced = 0 if anew is None else len(done)
    notes = (*model.notes(), *tally.decoded.notes())
    return replace(report, replaced=replaced, notes=notes)


def is_complete(
    store: Store, model_name: str, fingerprint: str, keys: np.ndarray | None = None
) -> bool:
    """Return whether a registered model has predicted all samples asked for, without loading it.

    What was predicted then speaks of the present labels, as after `predict`.

    Args:
        store: the database.
        model_name: of the model.
        fingerprint: as it is registered.
        keys: int64 (n,); None is every sample.
    """
    table = table_of(model_name)
    if not store.has(table) or About.read(store, model_name).fingerprint != fingerprint:
        return False
    done = store.table(table, ["key", "content", "error"])
    if len(missing(samples_of(store, keys).rows, done)):
        return False
    refresh(store, model_name)
    return True


def report_of(
    model: str,
    asked: Samples,
    about: About,
    started: float,
    todo: int = 0,
    tally: Tally = Tally(),  # noqa: B008
) -> PredictReport:
    """Return what was done for one model."""
    samples = asked.rows
    return PredictReport(
        model=model,
        predicted=todo - tally.failed - tally.gone,
        unchanged=len(samples) - todo,
        failed=tally.failed,
        quarantined=asked.quarantined,
        outside=TASKS[about.task].outside(one_array(samples["label"]), about.classes),
        seconds=time.perf_counter() - started,
        examples=tally.examples,
        gone=tally.gone,
    )


def check_truth(store: Store, source: TruthColumn) -> None:
    """Refuse to predict a column that samples do not have.

    Raises:
        PredictionError: it is not there.
    """
    names = store.schema(SAMPLES).names
    if source.table == SAMPLES and source.column not in names:
        raise PredictionError(
            f"No column '{source.column}' in samples to predict.",
            did_you_mean(source.column, names, "columns"),
        )
