"""Predict one share of the samples with several models, in this process or in any other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import inference
from slicedb.errors import SliceDBError
from slicedb.inference.several import Wanted
from slicedb.predictions.shares import Predicting, PredictJob
from slicedb.progress import Bar
from slicedb.store import Store
from slicedb.store.shares import Place, Tally, step_of
from slicedb.store.work import Writer, images_of
from slicedb.tasks.arrays import one_array

Wants = npt.NDArray[np.bool_]
"""(n, m): whether each of n samples goes through each of m models."""
_WANTED = "wanted"
"""The column of a share that says it, a byte for each model."""


@dataclass(frozen=True)
class JointTally:
    """What became of the samples of a share, by model."""

    tallies: tuple[Tally, ...]
    errors: tuple[SliceDBError | None, ...]
    """Why a model failed."""

    def __add__(self, other: JointTally) -> JointTally:
        return JointTally(
            tuple(a + b for a, b in zip(self.tallies, other.tallies)),
            tuple(a or b for a, b in zip(self.errors, other.errors)),
        )


def tally_of(tally: Tally) -> JointTally | None:
    """Return what became of the samples of all shares, by model; None of no share."""
    joint = [one for one in tally.written if isinstance(one, JointTally)]
    return sum(joint[1:], joint[0]) if joint else None


@dataclass(frozen=True)
class JointJob:
    """Which models predict, in names."""

    jobs: tuple[PredictJob, ...]
    batch_size: int | None

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of the predictions."""
        return tuple(job.table for job in self.jobs)

    def open(self, store: Store, place: Place) -> JointPredicting:
        """Load the registered models.

        Raises:
            ModelError: one is not the model that was meant.
        """
        parts = [job.open(store, place) for job in self.jobs]
        return JointPredicting(store, parts, self.batch_size, place)

    def divide(self, rows: pa.Table, workers: int) -> list[pa.Table]:
        """Cut rows into shares in which each model has whole batches.

        Where a cut would go through the batch of a model that wants other samples than the rest,
        that batch belongs to the later share, and its few samples are decoded by both.
        """
        wants = wants_of(rows)
        sizes = [job.size for job in self.jobs]
        cuts = _cuts(wants, sizes, workers, sum(job.row_bytes for job in self.jobs))
        order = [np.flatnonzero(column) for column in wants.T]
        shares = []
        for start, stop in itertools.pairwise(cuts):
            mine = np.zeros_like(wants)
            for model, samples in enumerate(order):
                mine[samples[start[model] : stop[model]], model] = True
            at = np.flatnonzero(mine.any(axis=1))
            if len(at):
                shares.append(with_wants(rows.take(pa.array(at)), mine[at]))
        return shares


def _cuts(wants: Wants, sizes: Sequence[int], workers: int, row_bytes: int) -> list[list[int]]:
    """Return between which samples of each model shares are cut: counts, with 0 and all of them."""
    n = len(wants)
    together = math.lcm(*sizes)
    size = together if together <= 4 * max(sizes) else max(sizes)
    step = step_of(n, workers, size, row_bytes)
    before = np.vstack([np.zeros(len(sizes), np.int64), np.cumsum(wants, axis=0)])
    cuts = [
        [int(count) // size * size for count, size in zip(before[at], sizes)]
        for at in range(0, n, step)
    ]
    return [*cuts, before[n].tolist()]


def with_wants(rows: pa.Table, wants: Wants) -> pa.Table:
    """Return samples with the models that they go through."""
    data = pa.py_buffer(np.ascontiguousarray(wants, np.uint8).tobytes())
    column = pa.Array.from_buffers(pa.binary(wants.shape[1]), len(wants), [None, data])
    at = rows.column_names.index(_WANTED) if _WANTED in rows.column_names else None
    if at is None:
        return rows.append_column(_WANTED, column)
    return rows.set_column(at, _WANTED, column)


def wants_of(rows: pa.Table) -> Wants:
    """Return the models that samples go through."""
    column = one_array(rows[_WANTED])
    width = column.type.byte_width
    if not len(column):
        return np.zeros((0, width), bool)
    flat: npt.NDArray[np.uint8] = np.frombuffer(column.buffers()[1], np.uint8)[
        column.offset * width :
    ]
    return flat[: len(column) * width].reshape(len(column), width).astype(bool)


class JointPredicting:
    """Computes and writes the predictions of some samples by several models.

    Args:
        store: the database.
        parts: the models; one that fails is left out from then on.
        batch_size: images per batch of each; None suits the device.
        place: device and threads.
    """

    def __init__(
        self, store: Store, parts: Sequence[Predicting], batch_size: int | None, place: Place
    ) -> None:
        self._store, self._parts = store, list(parts)
        self._batch_size, self._place = batch_size, place
        self._errors: list[SliceDBError | None] = [None] * len(self._parts)

    def __call__(self, rows: pa.Table, shown: Bar) -> Tally:
        """Predict samples: id, key, label, content and the models they go through, (n,)."""
        wants: Wants = wants_of(rows) & [error is None for error in self._errors]
        writers = [
            part.writer(rows.filter(pa.array(mine))) for part, mine in zip(self._parts, wants.T)
        ]
        several = inference.predict_several(
            [part.model for part in self._parts],
            _items(self._store, rows, wants),
            batch_size=self._batch_size,
            device=self._place.device,
            threads=self._place.threads,
            progress=shown,
        )
        with ExitStack() as stack:
            for writer in writers:  # also on Ctrl-C: what was computed is kept
                stack.callback(writer.flush)
            for said in stack.enter_context(closing(several)):
                self._take(said, writers)
        # A table that is to be replaced is replaced by rows, and by none where there are none.
        has_rows: list[bool] = np.any(wants, axis=0).tolist()
        is_done = [e is None and (has or not len(rows)) for e, has in zip(self._errors, has_rows)]
        tallies = [
            part.closed(writer) if done else writer.tally()
            for part, writer, done in zip(self._parts, writers, is_done)
        ]
        return Tally(
            sum(tally.failed for tally in tallies),
            sum(tally.gone for tally in tallies),
            written=(JointTally(tuple(tallies), tuple(self._errors)),),
        )

    def _take(self, said: inference.Said, writers: Sequence[Writer]) -> None:
        if said.batch is None:
            self._errors[said.model] = said.error
            writers[said.model].flush()
            return
        writers[said.model].add(said.batch)
        for writer in writers:
            writer.flush_old()


def _items(store: Store, rows: pa.Table, wants: Wants) -> Iterator[Wanted]:
    """Yield each sample that a model wants, with its picture."""
    some = wants.any(axis=1)
    mine = wants[some]
    for (name, data), models in zip(images_of(store, rows.filter(pa.array(some))), mine):
        yield name, data, np.flatnonzero(models).tolist()
