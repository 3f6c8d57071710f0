"""Predictions made elsewhere: checked against samples and classes, then stored at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError, did_you_mean
from slicedb.inference import columns_of, rows_to_list
from slicedb.metrics.detections import CONFIDENCE
from slicedb.models.names import check_name
from slicedb.predictions import boxes
from slicedb.predictions.about import LABEL, LOGGED, About
from slicedb.predictions.checks import Checker, Part
from slicedb.predictions.files import named, parts_of, read
from slicedb.predictions.tables import create, table_of
from slicedb.predictions.tasks import TASKS, text_of
from slicedb.schema import SAMPLES, content_of, keys_of
from slicedb.store import Store


@dataclass(frozen=True)
class LogReport:
    """What was stored of predictions made elsewhere."""

    model: str
    logged: int
    """Samples that have a prediction now from this call."""
    classes: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.model}: {self.logged:,} predictions of {len(self.classes)} classes logged "
            f"({self.seconds:.1f} s)"
        )


def log(
    store: Store,
    model_name: str,
    data: Any,
    *,
    classes: Sequence[str] | None = None,
    annotations: str | os.PathLike[str] | None = None,
    id_column: str = "id",
    prefix: str = "",
    **options: Any,
) -> LogReport:
    """Store predictions made elsewhere, all of them or none.

    Columns of a classifier: `id`, and either `prediction` (with `confidence`), or `probabilities`
    or `logits` (a list a row), or one column of probabilities a class. Of a detector: `id` and
    `objects`, a list of {label, bbox [x, y, w, h] in pixels, score}; or a row a box with `id`,
    `label`, `score` and `bbox` or `x, y, w, h`; or COCO's results as JSON. Of a regression: `id`
    and `value`. Other columns are kept as they are.

    Args:
        store: the database.
        model_name: names the table `predictions__<model_name>`.
        data: a pyarrow table, a pandas frame, or the path of a CSV, Parquet or JSON file.
        classes: class names in the order of the probabilities. Without probabilities it may be
            left out: then the labels of the samples are the classes.
        annotations: COCO's annotation file, which says what the numbers of its results mean.
        id_column: the column with the ids, where it is not called `id`.
        prefix: put before every id, for example the folder that names of files leave out.
        **options: replace, target, multilabel, confidence; see `PredictionLog`.

    Raises:
        PredictionError: an id nobody knows, a class nobody declared, a value that is no
            probability, a box of negative size, a sample that comes twice, a wrong width; with
            the place.
    """
    started = time.perf_counter()
    place = str(data) if isinstance(data, (str, os.PathLike)) else "the table"
    with PredictionLog(store, model_name, classes=classes, **options) as sink:
        sink._checker.place = place
        if place.lower().endswith(".json"):
            said, ids = boxes.read_json(Path(place)), store.table(SAMPLES, ["id"])["id"]
            file = None if annotations is None else Path(annotations)
            table = boxes.from_coco(said, ids.to_pylist(), classes, file, place)
        else:
            table = named(read(data, id_column), id_column, prefix, place)
        sink._take(parts_of(table, sink.classes, place, several=sink.several))
    return LogReport(model_name, len(sink), tuple(sink.classes), time.perf_counter() - started)


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
        self.several = multilabel
        self._target, self._confidence = target, confidence
        self.model = model
        self._store = store
        self._replace = replace
        samples = store.table(SAMPLES, ["id", "key", "label", "sha256"])
        self._checker = Checker(samples["id"], samples["label"], classes)
        self._parts: list[Part] = []
        self._check_table()

    @property
    def classes(self) -> list[str]:
        """The class names, as declared; else the labels of the samples."""
        return self._checker.classes

    def __len__(self) -> int:
        return sum(len(part.ids) for part in self._parts)

    def add(
        self,
        ids: Sequence[str],
        *,
        logits: Any = None,
        probabilities: Any = None,
        prediction: Sequence[str] | None = None,
        confidence: Any = None,
        objects: Any = None,
        detections: Sequence[Any] | None = None,
        value: Any = None,
        labels: Any = None,
        **columns: Any,
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
        names, place = list(ids), self._checker.place
        if detections is not None:
            objects = boxes.column_of_dicts(detections, self.classes, 1, place)
        if objects is not None:
            part = Part(names, objects=boxes.column_of(objects, place), columns=columns)
        elif value is not None:
            part = Part.of_numbers(names, value, columns)
        elif self.several or labels is not None:
            part = Part.of_sets(names, logits, probabilities, labels, columns)
        else:
            part = Part.of(names, logits, probabilities, prediction, confidence, columns)
        self._take(part)

    def _take(self, part: Part) -> None:
        if not self._parts and not self._known:
            self._name_classes(part.task)
        self._parts.append(self._checker.check(part))

    def _name_classes(self, task: str) -> None:
        """Take the names in the ground truth for classes, where it is lists and none are given."""
        if task not in ("detection", "multilabel"):
            return
        column = TASKS[task].truth(About())
        lists = text_of(self._store.table(SAMPLES, [column])[column])
        flat = pc.list_flatten(lists)
        names = pc.struct_field(flat, "label") if task == "detection" else flat
        self._checker.classes = sorted(n for n in names.unique().to_pylist() if n is not None)

    def __enter__(self) -> PredictionLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._parts:
            self._store_rows()

    def _check_table(self) -> None:
        """Refuse a name that a registered model predicts under, or logged with other classes."""
        self._known = self._checker.declared
        if not self._store.has(table_of(self.model)) or self._replace:
            return
        before = About.read(self._store, self.model)
        if before.fingerprint != LOGGED:
            raise PredictionError(
                f"The predictions of '{self.model}' are computed by the registered model.",
                "log under another name, or replace=True.",
            )
        if self._checker.declared and list(before.classes) != self.classes:
            raise PredictionError(
                f"'{self.model}' was logged with {len(before.classes)} other classes: "
                f"{', '.join(before.classes[:5])}.",
                "log under another name, or replace=True.",
            )
        self._checker.classes, self._known = list(before.classes), True

    def _store_rows(self) -> None:
        if len({(part.task, part.probabilities is None) for part in self._parts}) > 1:
            raise PredictionError(
                "Some batches were logged with probabilities and some without, or of another kind.",
                "give all of them the same.",
            )
        about = self._about()
        tables = [self._columns(part, about) for part in self._parts]
        table = pa.concat_tables(tables, promote_options="permissive")
        name = table_of(self.model)
        made = not self._store.has(name)
        if not made and self._replace:
            self._store.drop(name)
            made = True
        if made:
            width = table.schema.field("probabilities").type.list_size if _wide(table) else None
            own = TASKS[about.task].schema(1).names
            extra = [field for field in table.schema if field.name not in own]
            create(self._store, self.model, about, width=width, extra=extra)
        elif about.task == "classification" and _wide(table) != (
            "probabilities" in self._store.schema(name).names
        ):
            raise PredictionError(
                f"'{self.model}' was logged {'without' if _wide(table) else 'with'} probabilities "
                "before.",
                "log under another name, or replace=True.",
            )
        else:
            own = self._store.schema(name).names
            self._store.add_columns(name, [f for f in table.schema if f.name not in own])
        try:
            self._store.upsert(name, table)
        except BaseException:
            if made:
                self._store.drop(name)
            raise
        self._store.sync()

    def _about(self) -> About:
        """Return what the table says of itself.

        Raises:
            PredictionError: it says something else already, or there is no such target.
        """
        task = self._parts[0].task
        classes = () if task == "regression" else tuple(self.classes)
        about = About(task, classes, LOGGED, self._confidence or CONFIDENCE, self._target or LABEL)
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
        if before.task != task or wanted != before:
            raise PredictionError(
                f"'{self.model}' was logged before as {before.task} with other settings.",
                "log under another name, or replace=True.",
            )
        return before

    def _columns(self, part: Part, about: About) -> pa.Table:
        n, task = len(part.ids), TASKS[about.task]
        column = task.truth(about)
        samples = self._store.take(SAMPLES, keys_of(part.ids), [column, "sha256"])
        said = self._said(part, about)
        derived = task.derive(pa.table(said), text_of(samples[column]), about)
        return pa.table(
            {
                "id": pa.array(part.ids, pa.string()),
                "key": pa.array(keys_of(part.ids)),
                **said,
                **derived,
                "content": pa.array(content_of(samples["sha256"].to_pylist())),
                "fingerprint": pa.nulls(n, pa.int64()),
                "error": pa.nulls(n, pa.string()),
                **{key: _array(values, key, n) for key, values in part.columns.items()},
            }
        )

    def _said(self, part: Part, about: About) -> dict[str, pa.Array]:
        if about.task == "detection":
            return {"objects": part.objects}
        if about.task == "regression":
            return {"value": pa.array(part.value, pa.float64())}
        n = len(part.ids)
        if about.task == "multilabel":
            if part.probabilities is None:
                return {"labels": part.labels}
            sets = part.labels
            if sets is None:
                sets = _above(part.probabilities, about)
            none = np.zeros(n, bool)
            return {"labels": sets, "probabilities": rows_to_list(part.probabilities, none)}
        if part.probabilities is not None:
            return columns_of(part.probabilities, about.classes)
        return {
            "prediction": pa.array(part.prediction, pa.string()),
            "confidence": pa.nulls(n, pa.float32())
            if part.confidence is None
            else pa.array(part.confidence, pa.float32()),
            "margin": pa.nulls(n, pa.float32()),
            "entropy": pa.nulls(n, pa.float32()),
        }


def _above(probabilities: np.ndarray, about: About) -> pa.Array:
    """Return the labels whose probability is at least the confidence asked for."""
    rows, columns = np.nonzero(probabilities >= about.confidence)
    names = pa.array(list(about.classes), pa.string()).take(pa.array(columns))
    offsets = np.searchsorted(rows, np.arange(len(probabilities) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)


def _wide(table: pa.Table) -> bool:
    return "probabilities" in table.schema.names


def _array(values: Any, name: str, n: int) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        values = pa.array(np.asarray(values) if not isinstance(values, list) else values)
    if len(values) != n:
        raise PredictionError(f"Column '{name}' has {len(values)} values for {n} ids.")
    return values
