"""What a task is: everything that differs between classifiers, detectors, regressions and others.

A task is an object of a class derived from `Task`, one file each, in the table
`slicedb.tasks.TASKS`. Nothing else in the package asks what a model does; it asks the task for
what it needs. Stated in the order in which a prediction meets them:

    columns       `schema`: those of its table of predictions; `reads`: those that the rest needs
    made          `columns_of_output`: from what a model returns for a batch
    logged        `recognises`, `inputs`, `read`: from predictions made elsewhere, checked
    ground truth  `truth_of`: where it is; `truth`: the form in which it is compared
    derived       `marks` and `derive`: loss, correct and the like, and the truth they speak of
    judged        `outcomes`: truth beside prediction; its metrics; `confusion`
    shown         `shown`: truth and prediction of one sample as text, and boxes to draw
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.metrics.metric import Metric
from slicedb.metrics.outcomes import Bools, Floats, Ints, TaskOutcomes
from slicedb.schema import SAMPLES
from slicedb.show import numbers
from slicedb.tasks.about import About
from slicedb.tasks.arrays import codes_of, in_class_order, matrix_at, one_array
from slicedb.tasks.given import GivenBatch
from slicedb.tasks.labelmaps import LabelMap
from slicedb.tasks.objects import ImageBoxes

NamedColumns = dict[str, pa.Array]
"""Columns by name, all of one length."""

ModelOutput = npt.NDArray[np.floating] | Sequence[ImageBoxes | None] | Sequence[LabelMap | None]
"""A row per image: numbers, NaN where the image did not decode; or boxes or a label map, None where
it did not."""


@dataclass(frozen=True)
class TruthColumn:
    """Where the ground truth of a sample is."""

    column: str
    table: str = SAMPLES
    """A table with one row per sample that has a ground truth, joined by `key`."""


@dataclass(frozen=True, eq=False)
class AlignedRows:
    """Predictions beside the ground truth of the same n samples."""

    table: pa.Table
    """`key`, and those columns of `Task.reads` that are stored, in any order."""
    order: Ints
    """int64 (n,): the row of the table for each row of the truth."""
    truth: pa.Array
    """As `Task.truth` gives it; not null."""
    about: About
    ranks: Callable[[], Ints]
    """int64 (n,): the place of each sample's id among all ids, computed when asked for."""

    def column(self, name: str) -> pa.Array:
        """Return a column, a row per row of the truth."""
        return one_array(self.table[name]).take(pa.array(self.order))

    def codes(self, name: str) -> tuple[tuple[str, ...], Ints]:
        """Return the names in a column, sorted, and the code of each row."""
        names, codes = codes_of(self.table[name])  # before the rows are put in order: no text moves
        return names, codes[self.order]

    def numbers(self, name: str) -> Floats | None:
        """Return float64 (n,); None where the table lacks the column, or a row of it is null."""
        if name not in self.table.column_names or self.table[name].null_count:
            return None
        return np.asarray(self.table[name].to_numpy(), np.float64)[self.order]

    def matrix(self, name: str = "probabilities") -> npt.NDArray[np.floating] | None:
        """Return (n, c) of a column of lists; None where it lacks, or a row of it is null."""
        if name not in self.table.column_names or self.table[name].null_count:
            return None
        return matrix_at(self.table[name], self.order)


@dataclass(frozen=True, eq=False)
class ConfusionCounts:
    """How often each class is taken for each."""

    classes: tuple[str, ...]
    matrix: Ints
    """int64 (c, c): row = truth, column = prediction."""
    unit: str = "samples"
    """What is counted."""
    image: Ints | None = None
    """int64 (k,): of boxes, the row of the sample of each one."""
    codes: Ints | None = None
    """int64 (k,): the cell of each one, row x c + column."""


@dataclass(frozen=True)
class ShownBox:
    """A box to draw on a sample's picture."""

    xywh: tuple[float, float, float, float]
    """Left, top, width, height, in pixels of the picture as displayed."""
    label: str
    score: float | None = None
    """None for ground truth."""
    state: str = ""
    """`matched` or `missed`; of a predicted box `matched` or its kind of mistake
    (`slicedb.metrics.mistaken.KINDS`); "" where it was not judged."""


@dataclass(frozen=True, eq=False)
class ShownMap:
    """Classes of pixels to lay over a sample's picture."""

    codes: npt.NDArray[np.unsignedinteger]
    """(h, w): indices into `classes`; others are of no class."""
    classes: tuple[str, ...]
    ignored: int | None
    """The number of pixels that count for nothing."""
    title: str
    """Whose they are: `truth` or `prediction`."""


@dataclass(frozen=True)
class Shown:
    """One sample as people see it."""

    truth: str
    prediction: str
    confidence: float | None = None
    boxes: tuple[ShownBox, ...] = ()
    maps: tuple[ShownMap, ...] = ()


Said = TypeVar("Said", bound=TaskOutcomes)


class Task(ABC, Generic[Said]):
    """Base of every task; the attributes are facts, the methods are asked by the other rooms."""

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    """Columns that outcomes and derived columns are computed from; where the first is null, a row
    says nothing."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Those of `reads` that only metrics need which name them in `needs`: large columns, which
    `outcomes` does without where nobody asks for them."""
    mark: ClassVar[str]
    """The column that tells which ground truth the derived columns of a row speak of."""
    keeps: ClassVar[tuple[str, ...]] = ("loss",)
    """Columns that are kept as they were logged where they cannot be computed here."""
    metrics: ClassVar[tuple[Metric, ...]] = ()
    """Metrics that come with the task, beside those in `slicedb.metrics`."""
    primary: ClassVar[str]
    """The metric that is shown where nobody asks for one."""
    empty: ClassVar[str]
    """Why nothing can be said where no sample has both ground truth and a prediction."""
    has_classes: ClassVar[bool] = True
    """Whether predictions name classes, so that a model of this task must declare them."""
    one_class: ClassVar[bool] = False
    """Whether a sample has one class and is predicted as one, so that it is right or wrong."""

    is_judged: ClassVar[bool] = True
    """Whether something is predicted that a ground truth can be held against."""

    one_row_each: ClassVar[bool] = True
    """Whether a table of predictions has one row per sample, so that `grouped` leaves it as it is
    and it may be read in parts."""

    # --- columns ----------------------------------------------------------------------------------

    @abstractmethod
    def schema(self, width: int | None) -> pa.Schema:
        """Return the columns of a table of predictions.

        Args:
            width: number of probabilities a row; None when only the predictions are known.
        """

    def row_bytes(self, n_classes: int) -> int:
        """Return about how much memory a prediction takes, for the size of chunks."""
        return 4 * n_classes

    # --- made by a model --------------------------------------------------------------------------

    def width(self, n_classes: int) -> int:
        """Return how many numbers a model gives an image, where it gives numbers."""
        return n_classes

    @abstractmethod
    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        """Return the columns that a model's output makes, and where it is no finite number.

        Such rows are null in all columns.
        """

    # --- logged from elsewhere --------------------------------------------------------------------

    @abstractmethod
    def recognises(self, names: Collection[str]) -> bool:
        """Return whether columns of these names are predictions of this task."""

    @abstractmethod
    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        """Return the names that `read` makes use of; all others are columns of the user's own."""

    @abstractmethod
    def read(self, batch: GivenBatch) -> NamedColumns:
        """Return the columns that a batch of predictions makes, every value checked.

        Raises:
            PredictionError: naming the place and the sample.
        """

    def grouped(self, table: pa.Table, place: str) -> pa.Table:
        """Return a table with one row per sample, of one that may have several."""
        return table

    def notes(self, batch: GivenBatch) -> list[str]:
        """Return how predictions made elsewhere are read, where that is not plain."""
        return []

    def classes_in(self, truth: pa.Array) -> list[str]:
        """Return the class names that a ground truth has, in class order."""
        return in_class_order(name for name in truth.unique().to_pylist() if name is not None)

    # --- ground truth and what follows from it ----------------------------------------------------

    @abstractmethod
    def truth_of(self, about: About) -> TruthColumn:
        """Return where the ground truth is."""

    def truth(self, column: pa.Array) -> pa.Array:
        """Return ground truth as `outcomes` takes it, null where a sample has none."""
        return column

    def answers(
        self, column: pa.Array, classes: Sequence[str], least: float | None, place: str
    ) -> pa.Array:
        """Return what a person or another model says of samples, in the form of `truth`.

        Args:
            column: a column of samples, or the first of `reads` of the other model.
            classes: of the model under test.
            least: of another detector: the score from which on a box is taken for truth.
            place: what errors call the column.

        Raises:
            SliceDBError: it does not hold what this task compares.
        """
        return self.truth(column)

    @abstractmethod
    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        """Return the values of the column `mark` for a ground truth, null where there is none."""

    @abstractmethod
    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        """Return the columns that follow from what the model predicted and the ground truth."""

    def outside(self, truth: pa.Array, classes: Sequence[str]) -> int:
        """Return how many samples have a ground truth that the model cannot predict."""
        return 0

    # --- judged -----------------------------------------------------------------------------------

    def annotated(self, outcomes: Said, code: int | None) -> Ints | None:
        """Return int64 (n,): the annotated boxes of each sample; None where samples have none.

        Args:
            outcomes: truth and prediction.
            code: of one class; None counts all of them.
        """
        return None

    @abstractmethod
    def outcomes(self, rows: AlignedRows) -> Said:
        """Return truth and prediction as metrics read them."""

    def confusion(self, outcomes: Said, rows: Ints) -> ConfusionCounts | None:
        """Return how often each class is taken for each, over some rows; None: not defined."""
        return None

    # --- shown ------------------------------------------------------------------------------------

    @abstractmethod
    def shown(self, outcomes: Said, row: int) -> Shown:
        """Return one sample as people see it."""

    def unjudged(self, row: Mapping[str, object], about: About) -> Shown:
        """Return a prediction without a truth beside it, as people see it.

        Args:
            row: the columns of `reads` that are stored.
            about: what the table says of itself.
        """
        sure = row.get("confidence")
        confidence = float(sure) if isinstance(sure, float) else None
        return Shown("", numbers.value(row[self.reads[0]]), confidence)


AnyTask = Task[Any]
