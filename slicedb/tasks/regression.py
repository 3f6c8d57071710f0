"""Regression: one number per sample."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import CheckError, PredictionError
from slicedb.metrics.outcomes import Bools
from slicedb.metrics.regression import EMPTY, PredictedNumbers
from slicedb.tasks.about import About
from slicedb.tasks.arrays import one_array
from slicedb.tasks.columns import predictions_schema
from slicedb.tasks.given import GivenBatch
from slicedb.tasks.task import AlignedRows, ModelOutput, NamedColumns, Shown, Task, TruthColumn

_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


class Regression(Task[PredictedNumbers]):
    """A sample has a number in a column of samples, and the model predicts it."""

    name = "regression"
    reads = ("value",)
    mark = "target"
    primary = "mae"
    empty = EMPTY
    has_classes = False

    def schema(self, width: int | None) -> pa.Schema:
        """Return the columns: `residual` is value - target, `loss` its square."""
        own = ("value", "target", "residual", "abs_error", "loss")
        return predictions_schema(pa.field(name, pa.float64()) for name in own)

    def row_bytes(self, n_classes: int) -> int:
        return 8

    def width(self, n_classes: int) -> int:
        return 1

    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        """Return the numbers of a matrix (n, 1)."""
        values = np.asarray(output, np.float64)[:, 0]
        lost = ~np.isfinite(values)
        return {"value": pa.array(values, mask=lost)}, lost

    def recognises(self, names: Collection[str]) -> bool:
        return "value" in names

    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        return {"value"}

    def read(self, batch: GivenBatch) -> NamedColumns:
        """Return the values as float64."""
        values = batch.numbers("value")
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise PredictionError(f"value has shape {values.shape}.", "give one number a sample.")
        batch.check_length(len(values), "value")
        batch.check_finite(values, "values")
        return {"value": pa.array(values, pa.float64())}

    def classes_in(self, truth: pa.Array) -> list[str]:
        return []

    def truth_of(self, about: About) -> TruthColumn:
        return TruthColumn(about.target)

    def truth(self, column: pa.Array) -> pa.Array:
        return numbers_in(column)

    def answers(
        self, column: pa.Array, classes: Sequence[str], least: float | None, place: str
    ) -> pa.Array:
        """Return numbers."""
        try:
            numbers = numbers_in(column)
        except pa.ArrowException:
            numbers = pa.nulls(len(column))
        if numbers.null_count == len(column) > column.null_count:
            raise CheckError(
                f"{place[0].upper()}{place[1:]} has no number in it.", "name a column of numbers."
            )
        return numbers

    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        return numbers_in(truth)

    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        """Return target, residual, its size and its square."""
        target = numbers_in(truth)
        residual = pc.subtract(one_array(predictions["value"]), target)
        return {
            "target": target,
            "residual": residual,
            "abs_error": pc.abs(residual),
            "loss": pc.multiply(residual, residual),
        }

    def outcomes(self, rows: AlignedRows) -> PredictedNumbers:
        """Return targets and values."""
        target, value = (
            np.asarray(column.to_numpy(zero_copy_only=False), float)
            for column in (rows.truth, rows.column("value"))
        )
        return PredictedNumbers(target, value)

    def shown(self, outcomes: PredictedNumbers, row: int) -> Shown:
        """Return the two numbers."""
        return Shown(f"{outcomes.target[row]:.6g}", f"{outcomes.value[row]:.6g}")


def numbers_in(column: pa.Array) -> pa.Array:
    """Return a column as float64; text that is no number becomes null.

    >>> numbers_in(pa.array(["1.5", "old", None])).to_pylist()
    [1.5, None, None]
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        is_number = pc.match_substring_regex(column, _NUMBER)
        column = pc.if_else(is_number, column, pa.scalar(None, column.type))
        column = pc.utf8_trim_whitespace(column)
    numbers = column.cast(pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))
