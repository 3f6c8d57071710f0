"""Predict one share of the samples, in this process or in any other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from slicedb import inference
from slicedb.inference.decoding import Decoding
from slicedb.inference.lists import default_list_size
from slicedb.inference.runner import default_batch_size, pick_device
from slicedb.models.elsewhere import meant
from slicedb.models.model import Model
from slicedb.models.registry import Models
from slicedb.models.trust import Code
from slicedb.predictions.tables import prepare, table_of, with_truth
from slicedb.progress import Bar
from slicedb.schema import SAMPLES, content_of
from slicedb.store import Store
from slicedb.store.shares import Place, Tally
from slicedb.store.work import Anew, Writer, images_of
from slicedb.tasks import TASKS, About
from slicedb.tasks.arrays import one_array

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PredictJob:
    """Which model predicts, in names."""

    model: str
    code: Code
    """What the registered model is loaded from."""
    fingerprint: str
    version: int
    """Of the samples that the shares are of."""
    batch_size: int | None
    size: int
    row_bytes: int

    @classmethod
    def of(
        cls,
        name: str,
        model: Model,
        code: Code,
        version: int,
        batch_size: int | None,
        device: torch.device | str | None,
    ) -> Self:
        """Return the job of a model that is open here."""
        return cls(
            name,
            code,
            model.fingerprint(),
            version,
            batch_size,
            batch_size or size_of_batch(model, device),
            TASKS[model.task].row_bytes(len(model.classes)),
        )

    @property
    def table(self) -> str:
        """The table of the predictions."""
        return table_of(self.model)

    def open(self, store: Store, place: Place) -> Predicting:
        """Load the registered model.

        Raises:
            ModelError: it is not the model that was meant.
        """
        model = meant(Models(store), self.model, self.code, self.fingerprint)
        state = prepare(store, self.model, model)
        return Predicting(store, self.model, model, state, self.version, self.batch_size).at(place)


class Predicting:
    """Computes and writes the predictions of some samples.

    Args:
        store: the database.
        name: of the model.
        model: itself.
        state: what `prepare` says of its table.
        version: of the samples.
        batch_size: images per batch; None suits the device.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        model: Model,
        state: tuple[About, Anew | None],
        version: int,
        batch_size: int | None,
    ) -> None:
        self.name, self.model = name, model
        self._store = store
        self._about, self._anew = state
        self._version, self._batch_size = version, batch_size
        self._place = Place()

    def at(self, place: Place) -> Self:
        """Run on this device, with so many threads."""
        self._place = place
        return self

    def __call__(self, rows: pa.Table, shown: Bar) -> Tally:
        """Predict samples: id, key, label and content, (n,)."""
        writer = self.writer(rows)
        decoding = Decoding(self._place.decode)
        batches = inference.predict(
            self.model,
            images_of(self._store, rows),
            batch_size=self._batch_size,
            device=self._place.device,
            threads=self._place.threads,
            progress=shown,
            decoding=decoding,
        )
        try:
            with contextlib.closing(batches):
                for batch in batches:
                    writer.add(batch)
        finally:  # also on Ctrl-C: what was computed is kept
            writer.flush()
        return replace(self.closed(writer), decoded=decoding.decoded)

    def writer(self, rows: pa.Table) -> Writer:
        """Return what writes the predictions of samples, in their order."""
        return Writer(
            self._store,
            table_of(self.name),
            rows,
            _finish(self._store, self._about),
            TASKS[self._about.task].row_bytes(len(self.model.classes)),
            self._version,
            self._anew,
            self._again,
        )

    def closed(self, writer: Writer) -> Tally:
        """Close a writer that all samples have gone through; returns what became of them."""
        writer.close()
        self._anew = None
        return writer.tally()

    def _again(self) -> Anew | None:
        return prepare(self._store, self.name, self.model)[1]


def size_of_batch(model: Model, device: torch.device | str | None) -> int:
    """Return how many images come in a batch on a device, where nobody says."""
    chosen = pick_device(device, model)
    if model.takes_list:
        return default_list_size(chosen)
    return default_batch_size(model.preprocessing.size, chosen, model.n_parameters())


def _finish(store: Store, about: About) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Return the step from what the model says to rows of its table."""
    fingerprint = int(content_of([about.fingerprint])[0])
    task = TASKS[about.task]
    source = task.truth_of(about)

    def finish(predictions: pa.Table, rows: pa.Table) -> pa.Table:
        if source.table == SAMPLES and source.column in rows.column_names:
            truth = one_array(rows[source.column])
        else:  # objects and the like are read a chunk at a time
            _, truth = with_truth(store, source, rows["key"].to_numpy())
        columns = {name: predictions[name] for name in predictions.schema.names}
        columns |= {"key": rows["key"], "content": rows["content"]}
        columns |= task.derive(predictions, truth, about)
        columns["fingerprint"] = pa.array(np.full(len(predictions), fingerprint))
        return pa.table(columns)

    return finish
