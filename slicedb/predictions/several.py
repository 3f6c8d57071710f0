"""Compute missing and stale predictions of several models, each picture decoded once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.errors import ClassesError, ModelError, SliceDBError
from slicedb.ingest.unverified import verify_at_use
from slicedb.models.model import Model
from slicedb.models.names import check_name
from slicedb.predictions.compute import check_truth, report_of
from slicedb.predictions.joint import (
    JointJob,
    JointPredicting,
    JointTally,
    tally_of,
    with_wants,
)
from slicedb.predictions.refresh import refresh
from slicedb.predictions.reports import PredictReports
from slicedb.predictions.shares import Predicting, PredictJob
from slicedb.predictions.tables import prepare, refuse_logged, table_of
from slicedb.progress import Watch, bar
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.store.shares import Crew, Place, Tally, work_off_shares
from slicedb.store.work import Anew, Samples, missing, samples_of
from slicedb.tasks import TASKS, About

if TYPE_CHECKING:
    import torch

    from slicedb.models.trust import Code


_SHARED = "The CPU decoded: several models share its pixels."


@dataclass(frozen=True, eq=False)
class _Part:
    """One of the models, and what is left for it to do."""

    name: str
    model: Model
    about: About
    anew: Anew | None
    n_done: int
    """Rows that it has."""
    todo: np.ndarray
    """int64 (m,): positions of samples."""


def predict_several(
    store: Store,
    models: Mapping[str, Model],
    keys: np.ndarray | None = None,
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    progress: Watch = None,
    crew: Crew | None = None,
    codes: Mapping[str, Code] | None = None,
    decode: str = "cpu",
) -> PredictReports:
    """Predict with several models what each has no prediction of; see `Database.predict`.

    Each model has the rows that `predict` would give it. Where one fails the others go on, and its
    error is raised at the end; what it has predicted until then is kept.

    Args:
        models: by name.
        keys: int64 (n,), repeated ones count once; None is every sample.
        crew: processes that do it; None is this one.
        codes: what the models are loaded from there, by name.
        decode: "auto" is told that the CPU decodes what several share.

    Raises:
        ModelError: a model does not run. Where that shows before anything is computed, nothing
            is, for none of them.
        ClassesError: class list and output of a model differ in number.
        PredictionError: a name belongs to predictions made elsewhere.
    """
    started = time.perf_counter()
    for name, model in models.items():
        _check(store, name, model)
    verify_at_use(store, keys, progress)
    asked = samples_of(store, keys)
    parts = [_part(store, name, model, asked) for name, model in models.items()]
    wants = np.zeros((len(asked.rows), len(parts)), bool)
    for number, part in enumerate(parts):
        wants[part.todo, number] = True
    some = np.flatnonzero(wants.any(axis=1))
    rows = with_wants(asked.rows.take(pa.array(some)), wants[some])
    joint = _none(len(parts))
    if len(some) or any(part.anew for part in parts):
        title = f"predict {', '.join(models)}"
        with bar(int(wants.sum()), title, progress, unit="prediction") as shown:
            if crew is not None and codes is not None and len(some):
                jobs = [
                    PredictJob.of(p.name, p.model, codes[p.name], asked.version, batch_size, device)
                    for p in parts
                ]
                job = JointJob(tuple(jobs), batch_size)
                tally = work_off_shares(
                    store, job, job.tables, lambda n: job.divide(rows, n), crew, shown
                )
            else:
                place = Place(None if device is None else str(device), threads)
                work = _work(store, parts, asked, batch_size, place)
                tally = work(rows, shown)
        joint = tally_of(tally) or joint
    reports = _reports(store, parts, asked, joint, len(some), started)
    return reports.noting(_SHARED) if decode == "auto" and len(some) else reports


def _check(store: Store, name: str, model: Model) -> None:
    """Refuse a model that cannot predict under its name."""
    check_name(name, loose=True)
    model.check()
    if store.has(table_of(name)):
        refuse_logged(name, About.read(store, name))
    check_truth(store, TASKS[model.task].truth_of(model.about()))


def _part(store: Store, name: str, model: Model, asked: Samples) -> _Part:
    about, anew = prepare(store, name, model)
    if anew is None:
        refresh(store, name)
    done = store.table(table_of(name), ["key", "content", "error"])
    todo = missing(asked.rows, done if anew is None else done.slice(0, 0))
    return _Part(name, model, about, anew, len(done), todo)


def _work(
    store: Store, parts: Sequence[_Part], asked: Samples, batch_size: int | None, place: Place
) -> JointPredicting:
    each = [
        Predicting(store, p.name, p.model, (p.about, p.anew), asked.version, batch_size).at(place)
        for p in parts
    ]
    return JointPredicting(store, each, batch_size, place)


def _none(n: int) -> JointTally:
    return JointTally((Tally(),) * n, (None,) * n)


def _reports(
    store: Store,
    parts: Sequence[_Part],
    asked: Samples,
    joint: JointTally,
    pictures: int,
    started: float,
) -> PredictReports:
    """Return what became of the samples, labels that changed meanwhile taken into account.

    Raises:
        ModelError: a model failed.
    """
    reports = {}
    for part, tally, error in zip(parts, joint.tallies, joint.errors):
        refresh(store, part.name)
        if error is None:
            report = report_of(part.name, asked, part.about, started, len(part.todo), tally)
            replaced = 0 if part.anew is None else part.n_done
            notes = tuple(part.model.notes()) if len(part.todo) or part.anew else ()
            reports[part.name] = replace(report, replaced=replaced, notes=notes)
    complete = PredictReports(reports, pictures, time.perf_counter() - started)
    failed = {p.name: error for p, error in zip(parts, joint.errors) if error is not None}
    if failed:
        raise _failed(failed, complete)
    return complete


def _failed(errors: Mapping[str, SliceDBError], complete: PredictReports) -> SliceDBError:
    """Return the error of the models that failed, with what became of the others."""
    first, *more = errors.values()
    others = "".join(
        f" '{report.model}' is complete ({report.predicted:,} predicted, "
        f"{report.unchanged:,} unchanged"
        f"{f', {report.failed:,} failed' if report.failed else ''})."
        for report in complete.values()
    )
    messages = " ".join(_named(name, error.message) for name, error in errors.items())
    if more:
        n = len(errors) + len(complete)
        messages = f"{count(len(errors), 'model')} of {n} failed. {messages}"
    hint = f"{first.hint.rstrip('.')}." if first.hint else ""
    hint = f"{hint}{others} What {_names(errors)} predicted before is kept."
    kind = ClassesError if isinstance(first, ClassesError) and not more else ModelError
    error = kind(messages, hint.strip())
    error.__cause__ = first.__cause__
    return error


def _named(model: str, message: str) -> str:
    """Return a message that says which model it is of."""
    return message if f"'{model}'" in message else f"'{model}': {message}"


def _names(errors: Mapping[str, SliceDBError]) -> str:
    *some, last = (f"'{name}'" for name in errors)
    return f"{', '.join(some)} and {last}" if some else last
