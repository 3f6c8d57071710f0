"""Collect predictions from training code: checked as they come, stored together at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import progress
from slicedb.errors import PredictionError, did_you_mean
from slicedb.metrics.detections import CONFIDENCE
from slicedb.models.names import check_name
from slicedb.predictions.changes import GIVEN_SUM, ChangedBatch, noted
from slicedb.predictions.checks import IdChecker, check_names, check_types, with_own
from slicedb.predictions.files import GivenTable
from slicedb.predictions.refresh import refresh
from slicedb.predictions.tables import schema_of, table_of, with_truth
from slicedb.schema import SAMPLES, content_of
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.tasks import LOGGED, TASKS, About, AnyTask
from slicedb.tasks.about import LABEL
from slicedb.tasks.arrays import joined, one_array, with_numbers
from slicedb.tasks.given import GivenBatch

_ROWS = 1 << 16
_BYTES = 32 << 20
"""Rows of a table that are checked and written at once, and the memory of their probabilities."""
_STREAM = "log.add"
_FALLBACK = "classification"
"""The task of predictions that none recognises; it says what is missing."""


@dataclass(frozen=True)
class CollectedBatch:
    """A batch of predictions, checked."""

    ids: Sequence[str] | pa.Array
    keys: npt.NDArray[np.int64]
    predictions: Mapping[str, pa.Array]
    """The columns that the task reads from what was given."""
    own: Mapping[str, pa.Array]
    """What else the user logs."""


class PredictionLog:
    """Collect predictions in training code, and store them when the block ends without an error.

    Args:
        store: the database.
        model: names the table `predictions__<model>`.
        classes: class names in the order of the logits.
        replace: forget what was logged under this name before.
        target: the column of samples that `value` predicts; by default `label`.
        multilabel: probabilities are of labels that do not exclude one another.
        confidence: score from which on a box, or a label of several, counts; by default 0.5.
    """

    def __init__(
        self,
        store: Store,
        model: str,
        *,
        classes: Sequence[str] | None = None,
        replace: bool = False,
        target: str | None = None,
        multilabel: bool = False,
        confidence: float | None = None,
    ) -> None:
        check_name(model, loose=True)
        self.model = model
        self.place = _STREAM
        """What errors call the source of the predictions."""
        self.as_given: list[str] = []
        """Columns that SliceDB would compute, and could not, and so keeps as they were given."""
        self.notes: list[str] = []
        """How what was given is read, where that is not plain; said when it is stored."""
        self._task = TASKS["multilabel"] if multilabel else None
        self._target, self._confidence = target, confidence
        self._store = store
        self._replace = replace
        self._checker = IdChecker(store)
        self._declared = classes is not None
        self._classes = None if classes is None else list(classes)
        self._batches: list[CollectedBatch] = []
        self._changed: dict[
            int, ChangedBatch
        ] = {}  # by the first key of a batch, read once or more
        self._own: set[str] = set()
        self._logged = 0
        self._truth: tuple[str, int] | None = None  # where ground truth was read first, and when
        self._about: About | None = None
        if classes is not None and not all(isinstance(name, str) for name in classes):
            odd = next(name for name in classes if not isinstance(name, str))
            raise PredictionError(f"The class {odd!r} is no text.", "names of classes are texts.")
        if classes is not None and len(set(classes)) != len(classes):
            raise PredictionError("A class is declared twice.", "names of classes are unique.")
        self._check_table()

    @property
    def classes(self) -> list[str]:
        """The class names, as declared; else the labels of the samples."""
        if self._classes is not None:
            return self._classes
        task = self._task or TASKS[_FALLBACK]
        if not task.has_classes:
            return []
        source = task.truth_of(About())
        if not self._store.has(source.table):
            return []
        rows = self._store.table(source.table, [source.column])
        classes = task.classes_in(one_array(rows[source.column]))
        if self._task is not None:  # of another task they may be in another column
            self._classes = classes
        return classes

    def __len__(self) -> int:
        return self._logged

    def add(
        self,
        ids: Sequence[str],
        *,
        logits: object = None,
        probabilities: object = None,
        prediction: Sequence[str] | None = None,
        confidence: object = None,
        objects: object = None,
        detections: Sequence[object] | None = None,
        value: object = None,
        labels: object = None,
        **columns: object,
    ) -> None:
        """Take the predictions of a batch; they are checked now and stored at the end.

        Args:
            ids: of the samples, n of them.
            logits: (n, c), a tensor on any device or an array; becomes probabilities by softmax.
            probabilities: (n, c), each row sums to 1.
            prediction: class names, or numbers of classes, n of them.
            confidence: n numbers in [0, 1].
            objects: of a detector, n lists of {label, bbox [x, y, w, h] in pixels, score}.
            detections: the same as torchvision's models return it, n dicts of boxes, labels (from
                1) and scores.
            value: of a regression, n numbers.
            labels: n lists of labels, where a sample may have several.
            **columns: anything else to keep, n values each.

        Raises:
            PredictionError: see `log`.
        """
        named = {
            "logits": logits,
            "probabilities": probabilities,
            "prediction": prediction,
            "confidence": confidence,
            "objects": objects,
            "detections": detections,
            "value": value,
            "labels": labels,
        }
        given = {name: values for name, values in named.items() if values is not None}
        self.take(list(ids), {**given, **columns})

    def take(self, ids: Sequence[str] | pa.Array, values: Mapping[str, object]) -> None:
        """Take predictions by the names of their columns, as `add` does."""
        self.recognise(values)
        keys = self._checker.check(ids, self.place)
        self._batches.append(self._checked(ids, keys, values, 0))
        self._logged += len(ids)

    def write(self, given: GivenTable) -> None:
        """Store a table at once, a part after the other, all of it or nothing.

        Raises:
            PredictionError: see `log`.
        """
        task = self.recognise(given.names)
        keys = self._checker.check(given.ids, self.place)
        own = set(given.names) - task.inputs(given.names, tuple(self.classes)) - {"id"}
        # Whether a column with the name of ours is kept depends on all of its rows.
        clashes = not own.isdisjoint(task.schema(1).names)
        size = len(keys) if clashes else self._part_size(task)

        def parts() -> Iterator[CollectedBatch]:
            start = 0
            for part in given.parts(size):
                here = slice(start, start + len(part))
                values = {name: part[name] for name in part.column_names if name != "id"}
                yield self._checked(one_array(part["id"]), keys[here], values, start)
                start += len(part)

        self._write(parts, keys)
        self._logged += len(keys)

    def _part_size(self, task: AnyTask) -> int:
        """Return how many rows are checked and written at once."""
        return max(_ROWS // 16, min(_ROWS, _BYTES // task.row_bytes(max(1, len(self.classes)))))

    def _checked(
        self,
        ids: Sequence[str] | pa.Array,
        keys: npt.NDArray[np.int64],
        values: Mapping[str, object],
        before: int,
    ) -> CollectedBatch:
        """Return a batch whose ids are known to be samples, every value checked."""
        task = self.recognise(values)
        about = self._settings(task)
        batch = GivenBatch(
            ids,
            values,
            tuple(self.classes),
            self._declared,
            self.place,
            about.confidence,
            before,
        )
        self._note(task.notes(batch))
        used = task.inputs(values, batch.classes)
        own = {name: batch.column(name) for name in values if name not in used}
        ours = task.schema(1).names
        check_names(list(own), ours, self.place)
        check_types(own, self.place)
        checked = CollectedBatch(ids, keys, task.read(batch), own)
        self._changed[int(keys[0])] = ChangedBatch(ids, batch.changes)
        self._own.update(own)
        if not own.keys().isdisjoint(ours):
            self._rows(checked, about)  # a column that would be lost is refused now
        return checked

    def _note(self, notes: Sequence[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def recognise(self, names: Collection[str]) -> AnyTask:
        """Return the task whose predictions have columns of these names."""
        if self._task is None:
            fits = (task for task in TASKS.values() if task.recognises(names))
            task = next(fits, TASKS[_FALLBACK])
            if not task.is_judged and set(self.classes) & set(names):  # a column per class
                task = TASKS[_FALLBACK]
            self._task = task
        return self._task

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._batches:
            if len({frozenset(batch.predictions) for batch in self._batches}) > 1:
                raise PredictionError(
                    "Some batches were logged with probabilities and some without, or of another "
                    "kind.",
                    "give all of them the same.",
                )
            keys = np.concatenate([batch.keys for batch in self._batches])
            self._write(lambda: self._batches, keys)
            for note in self.notes if self.place == _STREAM else ():
                progress.note(f"{self.model}: {note}")

    def _check_table(self) -> None:
        """Refuse a name that a registered model predicts under, or logged with other classes."""
        if not self._store.has(table_of(self.model)) or self._replace:
            return
        before = About.read(self._store, self.model)
        if before.fingerprint != LOGGED:
            raise PredictionError(
                f"The predictions of '{self.model}' are computed by the registered model.",
                "log under another name, or replace=True.",
            )
        if self._declared and list(before.classes) != self.classes:
            raise PredictionError(
                f"'{self.model}' was logged with "
                f"{count(len(before.classes), 'other class', 'other classes')}: "
                f"{', '.join(before.classes[:5])}.",
                "log under another name, or replace=True.",
            )
        self._classes = list(before.classes)

    def _settings(self, task: AnyTask) -> About:
        """Return what the table says of itself.

        Raises:
            PredictionError: it says something else already, or there is no such target.
        """
        if self._about is None:
            self._about = self._new_settings(task)
        return self._about

    def _new_settings(self, task: AnyTask) -> About:
        about = About(
            task.name,
            tuple(self.classes) if task.has_classes else (),
            LOGGED,
            self._confidence or CONFIDENCE,
            self._target or LABEL,
        )
        names = self._store.schema(SAMPLES).names
        if about.target not in names:
            hint = did_you_mean(about.target, names, "columns of samples")
            raise PredictionError(f"No column '{about.target}' to predict.", hint)
        if not self._store.has(table_of(self.model)) or self._replace:
            return about
        before = About.read(self._store, self.model)
        wanted = replace(
            before,
            confidence=self._confidence or before.confidence,
            target=self._target or before.target,
        )
        if before.task != task.name or wanted != before:
            raise PredictionError(
                f"'{self.model}' was logged before as {before.task} with other settings.",
                "log under another name, or replace=True.",
            )
        return before

    def _write(
        self, batches: Callable[[], Iterable[CollectedBatch]], keys: npt.NDArray[np.int64]
    ) -> None:
        """Store the rows of batches, from the first each time they are asked for, in one commit.

        Args:
            batches: from nothing to all of them.
            keys: int64 (n,), of all their rows.
        """
        assert self._task is not None
        about = self._settings(self._task)
        name = table_of(self.model)
        version = self._store.version(name) if self._store.has(name) else 0

        def tables() -> Iterator[pa.Table]:
            rows: Iterator[pa.Table] = (self._rows(batch, about) for batch in batches())
            if self._batches:  # of training code, whose batches may differ in type
                rows = iter([joined(list(rows))])
            yield from rows

        waiting = tables()
        first = next(waiting)
        has_probabilities = "probabilities" in first.column_names
        field = first.schema.field("probabilities") if has_probabilities else None
        ours = self._task.schema(1).names
        extra = [field for field in first.schema if field.name not in ours]
        schema = schema_of(about, field, extra)
        if not version and self._store.create(name, schema, chain([first], waiting)):
            pass
        elif self._replace:
            self._store.replace(name, schema, chain([first], waiting), expected_version=version)
        else:
            stored = self._store.schema(name).names
            if has_probabilities != ("probabilities" in stored):
                raise PredictionError(
                    f"'{self.model}' was logged {'without' if has_probabilities else 'with'} "
                    "probabilities before.",
                    "log under another name, or replace=True.",
                )
            new = [field for field in first.schema if field.name not in stored]
            check_names([field.name for field in new], stored, self.place)
            table = pa.concat_tables(tables())  # every row is checked before one is written
            self._store.add_columns(name, new)
            if GIVEN_SUM in stored and GIVEN_SUM not in table.column_names:  # of the earlier rows
                old = self._store.schema(name).field(GIVEN_SUM)
                table = table.append_column(old, pa.nulls(len(table), old.type))
            self._store.upsert(name, self._as_precise(table, name))
        if self._truth is None or self._store.version(self._truth[0]) != self._truth[1]:
            refresh(self._store, self.model, keys=keys)  # labels changed since the rows were made
        self._note(noted(self._store, self.model, self._changed.values(), sorted(self._own)))
        self._store.sync()

    def _as_precise(self, table: pa.Table, name: str) -> pa.Table:
        """Return rows with probabilities as precise as those that are stored."""
        if "probabilities" not in table.column_names:
            return table
        field = self._store.schema(name).field("probabilities")
        if table["probabilities"].type == field.type:
            return table
        if pa.types.is_float32(field.type.value_type):
            self._note(
                [
                    f"The probabilities are rounded to seven digits, as those that '{self.model}' "
                    "was logged with before; replace=True (--replace) with all rows keeps them."
                ]
            )
        return with_numbers(table, "probabilities", field.type.value_type)

    def _rows(self, batch: CollectedBatch, about: About) -> pa.Table:
        """Return the rows of the table that a batch makes."""
        task, n = TASKS[about.task], len(batch.ids)
        source = task.truth_of(about)
        if self._truth is None and self._store.has(source.table):
            self._truth = source.table, self._store.version(source.table)
        samples, truth = with_truth(self._store, source, batch.keys, ["sha256"])
        predictions = dict(batch.predictions)
        columns = {
            "id": pa.array(batch.ids, pa.string()),
            "key": pa.array(batch.keys),
            **predictions,
            **task.derive(pa.table(predictions), truth, about),
            "content": pa.array(content_of(samples["sha256"])),
            "fingerprint": pa.nulls(n, pa.int64()),
            "error": pa.nulls(n, pa.string()),
        }
        merged = with_own(columns, batch.own, task, batch.ids, self.place)
        as_given = {name for name in batch.own if merged[name] is not columns.get(name)}
        new = as_given.intersection(task.keeps).difference(self.as_given)
        self.as_given += sorted(new)
        return pa.table(merged)
