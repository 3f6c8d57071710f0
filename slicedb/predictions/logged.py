"""Predictions made elsewhere: checked against samples and classes, then stored at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.errors import PredictionError
from slicedb.inference import columns_of
from slicedb.models.names import check_name
from slicedb.predictions.checks import Checker, Part
from slicedb.predictions.files import parts_of, read
from slicedb.predictions.tables import FINGERPRINT, LOGGED, classes_of, create, table_of
from slicedb.predictions.truth import truth_of
from slicedb.schema import SAMPLES, content_of, keys_of, predictions_schema
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
    replace: bool = False,
) -> LogReport:
    """Store predictions made elsewhere, all of them or none.

    Columns: `id`, and either `prediction` (with `confidence`), or `probabilities` or `logits` (a
    list a row), or one column of probabilities a class. Other columns are kept as they are.

    Args:
        store: the database.
        model_name: names the table `predictions__<model_name>`.
        data: a pyarrow table, a pandas frame, or the path of a CSV or Parquet file.
        classes: class names in the order of the probabilities. Without probabilities it may be
            left out: then the labels of the samples are the classes.
        replace: forget what was logged under this name before.

    Raises:
        PredictionError: an id nobody knows, a class nobody declared, a value that is no
            probability, a sample that comes twice, a wrong width; with the place.
    """
    started = time.perf_counter()
    place = str(data) if isinstance(data, (str, os.PathLike)) else "the table"
    with PredictionLog(store, model_name, classes=classes, replace=replace) as sink:
        sink._checker.place = place
        sink._take(parts_of(read(data), sink.classes, place))
    return LogReport(model_name, len(sink), tuple(sink.classes), time.perf_counter() - started)


class PredictionLog:
    """Collect predictions in training code, and store them when the block ends without an error.

    Args:
        store: the database.
        model: names the table `predictions__<model>`.
        classes: class names in the order of the logits.
        replace: forget what was logged under this name before.
    """

    def __init__(
        self,
        store: Store,
        model: str,
        *,
        classes: Sequence[str] | None = None,
        replace: bool = False,
    ) -> None:
        check_name(model, loose=True)
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
        **columns: Any,
    ) -> None:
        """Take the predictions of a batch; they are checked now and stored at the end.

        Args:
            ids: of the samples, n of them.
            logits: (n, c), a tensor on any device or an array; becomes probabilities by softmax.
            probabilities: (n, c), each row sums to 1.
            prediction: class names, or numbers of classes, n of them.
            confidence: n numbers in [0, 1].
            **columns: anything else to keep, n values each.

        Raises:
            PredictionError: see `log`.
        """
        self._take(Part.of(list(ids), logits, probabilities, prediction, confidence, columns))

    def _take(self, part: Part) -> None:
        self._parts.append(self._checker.check(part))

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
        name = table_of(self.model)
        if not self._store.has(name) or self._replace:
            return
        if self._store.metadata(name).get(FINGERPRINT) != LOGGED:
            raise PredictionError(
                f"The predictions of '{self.model}' are computed by the registered model.",
                "log under another name, or replace=True.",
            )
        before = classes_of(self._store, self.model)
        if self._checker.declared and before != self.classes:
            raise PredictionError(
                f"'{self.model}' was logged with {len(before)} other classes: "
                f"{', '.join(before[:5])}.",
                "log under another name, or replace=True.",
            )
        self._checker.classes = before

    def _store_rows(self) -> None:
        if len({part.probabilities is None for part in self._parts}) == 2:
            raise PredictionError(
                "Some batches were logged with probabilities and some without.",
                "give all of them the same.",
            )
        tables = [self._columns(part) for part in self._parts]
        table = pa.concat_tables(tables, promote_options="permissive")
        name = table_of(self.model)
        made = not self._store.has(name)
        if not made and self._replace:
            self._store.drop(name)
            made = True
        if made:
            width = table.schema.field("probabilities").type.list_size if _wide(table) else None
            own = predictions_schema(1).names
            extra = [field for field in table.schema if field.name not in own]
            create(self._store, self.model, self.classes, LOGGED, width=width, extra=extra)
        elif _wide(table) != ("probabilities" in self._store.schema(name).names):
            raise PredictionError(
                f"'{self.model}' was logged {'without' if _wide(table) else 'with'} probabilities "
                "before.",
                "log under another name, or replace=True.",
            )
        else:
            own = self._store.schema(name).names
            self._store.add_columns(name, [f for f in table.schema if f.name not in own])
        try:
            (self._store.append if made else self._store.upsert)(name, table)
        except BaseException:
            if made:
                self._store.drop(name)
            raise
        self._store.sync()

    def _columns(self, part: Part) -> pa.Table:
        n = len(part.ids)
        samples = self._store.take(SAMPLES, keys_of(part.ids), ["label", "sha256"])
        labels = samples["label"].combine_chunks()
        if part.probabilities is not None:
            columns = columns_of(part.probabilities, self.classes)
        else:
            columns = {
                "prediction": pa.array(part.prediction, pa.string()),
                "confidence": pa.nulls(n, pa.float32())
                if part.confidence is None
                else pa.array(part.confidence, pa.float32()),
                "margin": pa.nulls(n, pa.float32()),
                "entropy": pa.nulls(n, pa.float32()),
            }
        truth = truth_of(labels, columns["prediction"], part.probabilities, self.classes)
        return pa.table(
            {
                "id": pa.array(part.ids, pa.string()),
                "key": pa.array(keys_of(part.ids)),
                **columns,
                **truth,
                "content": pa.array(content_of(samples["sha256"].to_pylist())),
                "fingerprint": pa.nulls(n, pa.int64()),
                "error": pa.nulls(n, pa.string()),
                **{key: _array(values, key, n) for key, values in part.columns.items()},
            }
        )


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
