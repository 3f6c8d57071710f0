"""Predict what is missing or stale: one batched pass, written as it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import inference
from slicedb.models.model import Model
from slicedb.models.names import check_name
from slicedb.predictions.tables import prepare, table_of
from slicedb.predictions.truth import matrix_of, refresh, truth_of
from slicedb.progress import bar
from slicedb.schema import IMAGES, OK, SAMPLES, content_of
from slicedb.store import Store

_ROWS = 4096
_BYTES = 64 << 20
_SECONDS = 10.0


@dataclass(frozen=True)
class PredictReport:
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
    """Samples whose label is none of the model's classes: never correct, and without a loss."""
    seconds: float

    def __str__(self) -> str:
        rate = self.predicted / self.seconds if self.seconds > 0 else 0.0
        text = (
            f"{self.model}: {self.predicted:,} predicted, {self.unchanged:,} unchanged"
            f"{f', {self.failed:,} failed' if self.failed else ''}"
            f"{f', {self.quarantined:,} quarantined left out' if self.quarantined else ''}"
            f" ({self.seconds:.1f} s{f', {rate:,.0f} images/s' if self.predicted else ''})"
        )
        if self.outside:
            text += (
                f"\n  {self.outside:,} samples have a label that is none of the model's classes: "
                "they count as wrong and have no loss."
            )
        return text


def predict(
    store: Store,
    model_name: str,
    model: Model,
    keys: np.ndarray | None = None,
    *,
    batch_size: int | None = None,
    device: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> PredictReport:
    """Predict the samples that have no prediction of this model for their present image.

    Rows are written every few thousand images or ten seconds, so that an interrupted run goes on
    where it stopped. When the model changed (weights, code, preprocessing or classes), its
    earlier rows are removed first.

    Args:
        store: the database.
        model_name: names the table `predictions__<model_name>`.
        model: the model itself.
        keys: int64 (n,), repeated ones count once; None is every sample.
        batch_size: images a batch; None suits the device.
        device: a torch device or its name; None takes a GPU when there is one.
        threads: decoding threads; None takes the cores.
        progress: see `slicedb.progress.bar`.

    Raises:
        ModelError: the model does not run.
        ClassesError: class list and output differ in number.
        PredictionError: the name belongs to predictions made elsewhere.
    """
    started = time.perf_counter()
    check_name(model_name, loose=True)
    model.check()
    samples, quarantined = samples_of(store, keys)
    prepare(store, model_name, model)
    refresh(store, model_name)
    todo, fresh = _todo(store, model_name, samples)
    rows = samples.take(pa.array(todo))
    items = _items(store, rows)
    writer = _Writer(store, model_name, model, rows, fresh)
    with bar(len(todo), f"predict {model_name}", progress) as shown:
        batches = inference.predict(
            model, items, batch_size=batch_size, device=device, threads=threads, progress=shown
        )
        try:
            for batch in batches:
                writer.add(batch)
        finally:  # also on Ctrl-C: what was computed is kept
            batches.close()
            writer.flush()
    return PredictReport(
        model=model_name,
        predicted=len(todo) - writer.failed,
        unchanged=len(samples) - len(todo),
        failed=writer.failed,
        quarantined=quarantined,
        outside=_outside(samples, model),
        seconds=time.perf_counter() - started,
    )


def samples_of(store: Store, keys: np.ndarray | None) -> tuple[pa.Table, int]:
    """Return the samples to predict, in the order their images are stored.

    Returns:
        A table of id, key, label, content, and the number of those whose status is not ok.
    """
    table = store.table(SAMPLES, ["id", "key", "label", "sha256", "status"])
    if keys is not None:
        asked = np.isin(table["key"].to_numpy(), np.asarray(keys, dtype=np.int64))
        table = table.filter(pa.array(asked))
    ok = pc.fill_null(pc.equal(table["status"], OK), False)
    good = table.filter(ok)
    content = content_of(good["sha256"].to_pylist())
    good = good.select(["id", "key", "label"]).append_column("content", pa.array(content))
    if store.has(IMAGES) and len(good):
        at = store.positions(IMAGES, good["key"].to_numpy())
        if (np.diff(at) < 0).any():
            good = good.take(pa.array(np.argsort(at, kind="stable")))
    return good.combine_chunks(), len(table) - len(good)


def _todo(store: Store, model: str, samples: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of missing and stale samples, and for each whether it has no row."""
    done = store.table(table_of(model), ["key", "content", "error"])
    keys = done["key"].to_numpy()
    order = np.argsort(keys)
    wanted = samples["key"].to_numpy()
    if not len(keys):
        return np.arange(len(wanted)), np.ones(len(wanted), dtype=bool)
    at = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    there = keys[at] == wanted
    same = done["content"].to_numpy()[at] == samples["content"].to_numpy()
    whole = pc.is_null(done["error"]).to_numpy()[at]
    todo = np.flatnonzero(~(there & same & whole))
    return todo, ~there[todo]


def _items(store: Store, rows: pa.Table) -> Iterator[tuple[str, bytes]]:
    ids = rows["id"].to_pylist()
    for name, (_, data) in zip(ids, store.read_images(rows["key"].to_numpy())):
        yield name, data


def _outside(samples: pa.Table, model: Model) -> int:
    labels = samples["label"]
    known = pc.is_in(labels, value_set=pa.array(list(model.classes), pa.string()))
    return int(pc.sum(pc.and_(pc.is_valid(labels), pc.invert(known))).as_py() or 0)


class _Writer:
    """Collects what the model says, adds the ground truth, and writes it in chunks."""

    def __init__(
        self, store: Store, name: str, model: Model, rows: pa.Table, fresh: np.ndarray
    ) -> None:
        self.failed = 0
        self._store = store
        self._table = table_of(name)
        self._classes = model.classes
        self._fingerprint = int(content_of([model.fingerprint()])[0])
        self._rows = rows
        self._fresh = fresh
        self._written = 0
        self._held: list[pa.RecordBatch] = []
        self._n = 0
        self._version = store.version(self._table)
        self._last = time.monotonic()
        self._most = max(1, min(_ROWS, _BYTES // (4 * max(1, len(model.classes)))))

    def add(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._n += len(batch)
        if self._n >= self._most or time.monotonic() - self._last > _SECONDS:
            self.flush()

    def flush(self) -> None:
        if not self._held:
            return
        table = pa.Table.from_batches(self._held).combine_chunks()
        about = self._rows.slice(self._written, len(table))
        fresh = self._fresh[self._written : self._written + len(table)]
        truth = truth_of(
            about["label"].combine_chunks(),
            table["prediction"].combine_chunks(),
            matrix_of(table["probabilities"]),
            self._classes,
        )
        columns = {name: table[name] for name in table.schema.names}
        columns |= {"key": about["key"], "content": about["content"], **truth}
        columns["fingerprint"] = pa.array(np.full(len(table), self._fingerprint))
        self._write(pa.table(columns), fresh)
        self.failed += len(table) - table["error"].null_count
        self._written += len(table)
        self._held, self._n = [], 0
        self._last = time.monotonic()

    def _write(self, table: pa.Table, fresh: np.ndarray) -> None:
        """Append rows that are new; update the stale, and all once another writer was here."""
        alone = self._store.version(self._table) == self._version
        new = pa.array(fresh if alone else np.zeros(len(fresh), dtype=bool))
        for part, put in (
            (table.filter(new), self._store.append),
            (table.filter(pc.invert(new)), self._store.upsert),
        ):
            if len(part):
                self._version = put(self._table, part)
