"""A sixth task in one file: how bad something is, in grades from 1 to 5.

Its ground truth is in a table of its own, as that of masks would be.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError
from slicedb.metrics import Metric, PerSample, mean, mean_state, share
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.tasks import About, AlignedRows, Shown, Task, TruthColumn
from slicedb.tasks.arrays import one_array
from slicedb.tasks.columns import predictions_schema
from slicedb.tasks.given import GivenBatch
from slicedb.tasks.task import ModelOutput, NamedColumns

GRADES = "grades"
"""The table with the ground truth: id, key, grade."""
MOST = 5
EMPTY = "no sample has both a grade and a prediction"


@dataclass(frozen=True, eq=False)
class Grades:
    """Samples with a grade and a predicted one."""

    truth: Ints
    predicted: Ints

    task: ClassVar[str] = "ordinal"
    classes: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[frozenset[str]] = frozenset({"grade"})

    @property
    def n(self) -> int:
        return len(self.truth)

    @property
    def distance(self) -> Ints:
        return np.abs(self.truth - self.predicted)

    @property
    def correct(self) -> Bools:
        return np.asarray(self.truth == self.predicted)

    def wrong(self, code: int | None = None) -> Bools:
        return ~self.correct

    def present_in(self, rows: Ints | slice) -> list[int]:
        return []

    def losses(self) -> Floats:
        return self.distance.astype(float)

    def take(self, rows: Ints) -> Grades:
        return Grades(self.truth[rows], self.predicted[rows])

    def with_classes(self, classes: tuple[str, ...]) -> Grades:
        return self


_NEAR = PerSample("within_one", lambda o: (o.distance <= 1).astype(float))
_FAR = PerSample("distance", lambda o: o.distance.astype(float))


class Ordinal(Task[Grades]):
    """A sample has a grade, and the model says which."""

    name = "ordinal"
    reads = ("grade",)
    mark = "truth"
    primary = "within_one"
    empty = EMPTY
    has_classes = False
    metrics = (
        Metric(
            "within_one",
            mean_state(_NEAR, ("grade",)),
            share,
            "share",
            EMPTY,
            "ordinal",
            sample=_NEAR,
        ),
        Metric(
            "distance",
            mean_state(_FAR, ("grade",)),
            mean,
            "mean",
            EMPTY,
            "ordinal",
            (0, MOST - 1),
            rises=False,
            sample=_FAR,
        ),
    )

    def schema(self, width: int | None) -> pa.Schema:
        own = [pa.field(name, pa.int64()) for name in ("grade", "truth", "distance")]
        return predictions_schema(
            [*own, pa.field("loss", pa.float64()), pa.field("correct", pa.bool_())]
        )

    def width(self, n_classes: int) -> int:
        return MOST

    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        scores = np.asarray(output)
        lost = np.asarray(~np.isfinite(scores).all(axis=1))
        return {"grade": pa.array(scores.argmax(axis=1) + 1, pa.int64(), mask=lost)}, lost

    def recognises(self, names: Collection[str]) -> bool:
        return "grade" in names

    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        return {"grade"}

    def read(self, batch: GivenBatch) -> NamedColumns:
        grade = batch.column("grade").cast(pa.int64())
        bad = np.flatnonzero(~np.asarray(pc.is_in(grade, value_set=pa.array(range(1, MOST + 1)))))
        if len(bad):
            raise PredictionError(f"The grade of {batch.row(int(bad[0]))} is not from 1 to {MOST}.")
        return {"grade": grade}

    def truth_of(self, about: About) -> TruthColumn:
        return TruthColumn("grade", GRADES)

    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        return truth

    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        grade, truth = one_array(predictions["grade"]), truth.cast(pa.int64())
        distance = pc.abs(pc.subtract(grade, truth))
        return {
            "truth": truth,
            "distance": distance,
            "loss": distance.cast(pa.float64()),
            "correct": pc.equal(grade, truth),
        }

    def outcomes(self, rows: AlignedRows) -> Grades:
        truth, grade = (
            np.asarray(column, np.int64) for column in (rows.truth, rows.column("grade"))
        )
        return Grades(truth, grade)

    def shown(self, outcomes: Grades, row: int) -> Shown:
        return Shown(f"grade {outcomes.truth[row]}", f"grade {outcomes.predicted[row]}")
