"""Check predictions made elsewhere, as all tasks need it.

Each error names the place that the predictions come from, and the sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError
from slicedb.metrics.detections import CONFIDENCE
from slicedb.metrics.outcomes import Bools
from slicedb.show.numbers import count
from slicedb.tasks.arrays import ArrowColumn, one_array
from slicedb.tasks.changes import Changes
from slicedb.tasks.probabilities import in_own_precision

Floating = npt.NDArray[np.floating]

_SUM = 0.01
"""How far from 1 the probabilities of a sample may sum to."""
_SUM_OF_ROUNDED = 1e-3
"""How far from 1 they are taken as they are: rounded to four digits, or made in half precision."""
_ROUNDING = 1e-4


@dataclass(frozen=True)
class GivenBatch:
    """A batch of predictions made elsewhere."""

    ids: Sequence[str] | pa.Array
    values: Mapping[str, object]
    """By name, a value per id: tensors, arrays, lists or Arrow columns."""
    classes: tuple[str, ...] = ()
    """Names in the order of the probabilities."""
    declared: bool = True
    """Whether the user named the classes; otherwise they are the labels of the samples."""
    place: str = "log.add"
    """What errors call the source."""
    confidence: float = CONFIDENCE
    """Score from which on a label of several counts."""
    before: int = 0
    """Rows of the source that came before, so that errors count from its beginning."""
    changes: Changes = field(default_factory=Changes, compare=False)
    """What reading them changes."""

    def number(self, i: int) -> int:
        """Return the number of a row in its source, from 1."""
        return self.before + int(i) + 1

    def row(self, i: int) -> str:
        """Return the words for the sample of a row."""
        return f"sample '{self.ids[i]}' (row {self.number(i)} of {self.place})"

    def has(self, name: str) -> bool:
        """Return whether something of that name was given."""
        return self.values.get(name) is not None

    def column(self, name: str) -> pa.Array:
        """Return one value per id as an Arrow array.

        Raises:
            PredictionError: there is another number of values, or they are not of one type.
        """
        array = arrow_of(self.values[name], name, self.place)
        self.check_length(len(array), name)
        return array

    def check_length(self, n: int, name: str) -> None:
        """Refuse another number of values than there are ids."""
        if n != len(self.ids):
            raise PredictionError(
                f"{count(len(self.ids), 'id')}, but {count(n, 'value')} of {name} in {self.place}."
            )

    def numbers(self, name: str, dtype: type[np.floating] = np.float64) -> Floating:
        """Return the numbers of that name as an array of any shape.

        Raises:
            PredictionError: something is no number.
        """
        values = self.values[name]
        try:
            if isinstance(values, pa.Array | pa.ChunkedArray):
                column = one_array(values.cast(pa.from_numpy_dtype(dtype)))
                return np.asarray(column.to_numpy(zero_copy_only=False))
            return np.asarray(numpy_of(values), dtype=dtype)
        except pa.ArrowException as error:
            raise PredictionError(
                f"Column '{name}' of {self.place} is not numeric: {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise PredictionError(f"{name} holds something that is no number: {error}") from error

    def check_finite(self, values: Floating, name: str) -> None:
        """Refuse NaN and infinity."""
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(self.ids), -1)).all(axis=1))
        if len(bad):
            raise PredictionError(
                f"The {name} of {count(len(bad), 'sample')} are not finite numbers, the first is "
                f"'{self.ids[int(bad[0])]}' (row {self.number(bad[0])}).",
                "leave those rows out.",
            )

    def check_unit(self, values: Floating, name: str) -> None:
        """Refuse NaN and what lies outside [0, 1]."""
        if values.size and values.min() >= 0 and values.max() <= 1 + _ROUNDING:
            return  # as is nearly always so; of NaN neither holds
        flat = values.reshape(len(self.ids), -1)
        wrong = ~((flat >= 0) & (flat <= 1 + _ROUNDING))
        bad = np.flatnonzero(wrong.any(axis=1))
        if len(bad):
            value = flat[bad[0]][wrong[bad[0]]][0]
            raise PredictionError(
                f"A {name} of sample '{self.ids[int(bad[0])]}' (row {self.number(bad[0])}) is "
                f"{value:.4g}{_others(bad)}.",
                "probabilities lie in [0, 1]; pass logits= for values before the softmax.",
            )

    def summing_to_one(self, matrix: Floating) -> Floating:
        """Return probabilities whose rows sum to 1, or to nearly 1.

        Rows within 0.001 of 1 are taken as they are; those within 0.01 are divided by their sum.

        Raises:
            PredictionError: the sum of a row is further from 1.
        """
        # A product takes an eighth of the time of sum(). NaN was refused before.
        sums = (matrix @ np.ones(matrix.shape[1], matrix.dtype)).astype(np.float64)
        gap = np.abs(sums - 1)
        off = np.flatnonzero(gap > _SUM)
        if len(off):
            raise PredictionError(
                f"The probabilities of {self.row(int(off[0]))} sum to {sums[off[0]]:.3f}, not to 1"
                f"{_others(off)}.",
                f"a sum within {_SUM} of 1 is divided away; pass logits= for values before the "
                "softmax.",
            )
        rows = np.flatnonzero(gap > _SUM_OF_ROUNDED)
        if not len(rows):
            return matrix
        self.changes.sums = np.full(len(matrix), np.nan)
        self.changes.sums[rows] = sums[rows]
        matrix = matrix.copy()
        matrix[rows] /= sums[rows, None]
        return matrix

    def scores(self) -> tuple[Floating | None, Floating | None]:
        """Return (logits, probabilities), one of them (n, c) or neither; checked but for sums.

        They are a list per sample, or a column of probabilities per class.

        Raises:
            PredictionError: both are given, a row has another width, a value is no probability.
        """
        given = [name for name in ("logits", "probabilities") if self.has(name)]
        if len(given) > 1:
            raise PredictionError("Both logits and probabilities are given.", "give one of them.")
        if given:
            matrix = self._matrix(given[0])
        elif (spread := self._spread()) is not None:
            matrix = spread
        else:
            return None, None
        if given != ["logits"] or matrix.shape[1] != 1 or len(self.classes) != 2:
            self._check_width(matrix)  # one logit for two classes is that of the second
        if given == ["logits"]:
            self.check_finite(matrix, "logits")
            return matrix, None
        self.check_unit(matrix, "probability")
        return None, matrix

    def _matrix(self, name: str) -> Floating:
        values = self.values[name]
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return _matrix_of_lists(one_array(values), name, self)
        matrix = self._in_own_precision(name)
        if matrix.ndim != 2 or len(matrix) != len(self.ids):
            raise PredictionError(
                f"{name} have shape {matrix.shape} for {count(len(self.ids), 'id')}.",
                f"give one row a sample: ({len(self.ids)}, number of classes).",
            )
        return matrix

    def _in_own_precision(self, name: str) -> Floating:
        """Return numbers as float64 where they were given so, and else as float32."""
        values = self.values[name]
        if isinstance(values, pa.Array | pa.ChunkedArray):
            short = pa.types.is_float16(values.type) or pa.types.is_float32(values.type)
            return self.numbers(name, np.float32 if short else np.float64)
        try:
            return in_own_precision(stacked(values))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise PredictionError(f"{name} holds something that is no number: {error}") from error

    def _spread(self) -> Floating | None:
        """Return the probabilities of a table with a column per class, None where it has none."""
        spread = [name for name in self.classes if name in self.values]
        if not spread:
            return None
        missing = [name for name in self.classes if name not in self.values]
        if missing:
            raise PredictionError(
                f"{self.place} has a column of probabilities for {len(spread)} of "
                f"{count(len(self.classes), 'class', 'classes')}; '{missing[0]}' has none.",
                "give one column a class, named like it.",
            )
        columns = [self._in_own_precision(name) for name in self.classes]
        return np.stack(columns, axis=1)

    def _check_width(self, matrix: Floating) -> None:
        if not self.classes:
            raise PredictionError(
                "There are probabilities, and nobody said of which classes.", "give classes=."
            )
        if matrix.shape[1] != len(self.classes):
            which = "declared" if self.declared else "labels of the samples (none are declared)"
            raise PredictionError(
                f"{matrix.shape[1]} probabilities a row in {self.place}, for {len(self.classes)} "
                f"classes: {which}.",
                "give classes= in the order of the probabilities.",
            )


def numpy_of(values: object) -> object:
    """Return a tensor of any device as a numpy array, and anything else as it is."""
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        return (tensor.float() if tensor.element_size() == 2 else tensor).numpy()  # no bfloat16
    return values


def stacked(values: object) -> object:
    """Return a tensor, or a list of tensors, as one array; anything else as it is."""
    if isinstance(values, list | tuple) and any(hasattr(row, "detach") for row in values):
        return np.stack([numpy_of(row) for row in values])  # type: ignore[arg-type]
    return numpy_of(values)


def arrow_of(values: object, name: str, place: str) -> pa.Array:
    """Return a column of values in any form as one Arrow array.

    Raises:
        PredictionError: the values are not of one type.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        array = one_array(values)
        return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array
    plain = numpy_of(values)
    try:
        return pa.array(plain if isinstance(plain, np.ndarray) else list(plain))  # type: ignore[call-overload]
    except (pa.ArrowException, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise PredictionError(f"'{name}' of {place} cannot be read: {reason}") from error


def _matrix_of_lists(column: pa.Array, name: str, batch: GivenBatch) -> Floating:
    """Return a column of lists, or of JSON text, as numbers (n, c); a view where it is one."""
    place = batch.place
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        rows = [_json(text, i, name, batch) for i, text in enumerate(column.to_pylist())]
        try:
            column = pa.array(rows, pa.list_(pa.float64()))
        except (pa.ArrowException, TypeError) as error:
            raise PredictionError(
                f"Column '{name}' of {place} is not a list of numbers a row: {error}"
            ) from error
    try:
        sizes = pc.list_value_length(column)
        values = pc.list_flatten(column)
        short = pa.types.is_float16(values.type) or pa.types.is_float32(values.type)
        values = values.cast(pa.float32() if short else pa.float64())
    except pa.ArrowException as error:
        raise PredictionError(
            f"Column '{name}' of {place} is {column.type}.", "give a list of numbers a row."
        ) from error
    width = sizes[0].as_py() if len(column) and sizes[0].is_valid else 0
    bad = np.flatnonzero(~np.asarray(pc.fill_null(pc.equal(sizes, width), False)))
    if len(bad):
        i = int(bad[0])
        length = str(sizes[i].as_py()) if sizes[i].is_valid else "no"
        raise PredictionError(
            f"Row {batch.number(i)} of {place} has {length} {name}, the first has {width}.",
            "give every row one value a class.",
        )
    matrix: Floating = values.to_numpy(zero_copy_only=False).reshape(len(column), width)
    return matrix


_SHOWN = 60
"""Characters of a text that an error shows."""


def _json(text: str | None, row: int, name: str, batch: GivenBatch) -> object:
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError) as error:
        raise PredictionError(
            f"Row {batch.number(row)} of {batch.place}: {(text or '')[:_SHOWN]!r} is no list of "
            f"numbers ({name}).",
            "write [0.1, 0.9], or one column a class.",
        ) from error


def _others(rows: npt.NDArray[np.intp]) -> str:
    """Say how many rows share a fault with the first of them."""
    n = len(rows) - 1
    return f", and {n:,} more row{'s' * (n != 1)} are wrong" if n else ""


def unknown_in(column: ArrowColumn, classes: Sequence[str]) -> Bools:
    """Return bool (n,): where a column of names has one that is no class; null is none."""
    known = pc.is_in(column, value_set=pa.array(list(classes), pa.string()))
    return np.asarray(pc.and_(pc.is_valid(column), pc.invert(known)))
