"""Scores: numbers that say how good or how hard a sample is, and not what it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import CheckError, PredictionError
from slicedb.metrics.outcomes import Bools, TaskOutcomes
from slicedb.show import numbers
from slicedb.tasks.about import LABEL, About
from slicedb.tasks.columns import predictions_schema
from slicedb.tasks.given import GivenBatch
from slicedb.tasks.task import AlignedRows, ModelOutput, NamedColumns, Shown, Task, TruthColumn

JUDGING = frozenset("score scores loss losses uncertainty quality confidence".split())
"""Names of columns that say how good something is, and not what it is."""
_PREDICTED = frozenset(
    "prediction predictions probabilities logits labels objects detections value boxes box bbox "
    "label class".split()
)
"""Names of columns beside which a score is one of a prediction."""


class Scores(Task[TaskOutcomes]):
    """A model gives numbers, each a column of its own, that no ground truth is held against."""

    name = "scores"
    reads = ()
    mark = ""
    primary = ""
    empty = "There are scores, and nothing is predicted."
    has_classes = False
    is_judged = False

    def schema(self, width: int | None) -> pa.Schema:
        """Return the columns beside those that were given."""
        return predictions_schema([])

    def recognises(self, names: Collection[str]) -> bool:
        lower = {name.lower() for name in names}
        return not lower.isdisjoint(JUDGING) and lower.isdisjoint(_PREDICTED)

    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        return set()

    def read(self, batch: GivenBatch) -> NamedColumns:
        """Return nothing: the columns are kept as they are.

        Raises:
            PredictionError: a score is text, NaN or infinite.
        """
        for name in self._scores(batch):
            column = batch.column(name)
            if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
                raise PredictionError(
                    f"Column '{name}' of {batch.place} is {column.type}, and no prediction is "
                    "beside it.",
                    "give numbers, or a prediction, probabilities, objects or a value.",
                )
            values = np.asarray(pc.fill_null(column.cast(pa.float64()), 0.0))
            batch.check_finite(values, name)
        return {}

    def notes(self, batch: GivenBatch) -> list[str]:
        """Return which columns are kept, and that nothing can be judged by them."""
        names = ", ".join(self._scores(batch))
        return [
            f"No prediction is beside {names}: queries read and sort by them, and there is nothing "
            "to be judged."
        ]

    def _scores(self, batch: GivenBatch) -> list[str]:
        return [name for name in batch.values if name.lower() in JUDGING]

    def truth_of(self, about: About) -> TruthColumn:
        return TruthColumn(LABEL)

    def unjudged(self, row: Mapping[str, object], about: About) -> Shown:
        """Return the scores as people see them."""
        named = {name: value for name, value in row.items() if name.lower() in JUDGING}
        said = [f"{name} {numbers.value(value)}" for name, value in named.items() if name != "loss"]
        return Shown("", ", ".join(said) or "scored")

    # --- what scores alone do not have ------------------------------------------------------------

    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        """Refuse: no registered model has this task."""
        self._refuse()

    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        """Return no mark: nothing is derived from a ground truth."""
        return pa.nulls(len(truth))

    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        """Return nothing."""
        return {}

    def outcomes(self, rows: AlignedRows) -> TaskOutcomes:
        """Refuse."""
        self._refuse()

    def shown(self, outcomes: TaskOutcomes, row: int) -> Shown:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise CheckError(self.empty, "log a prediction beside the scores.")
