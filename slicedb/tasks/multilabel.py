"""Multilabel: any number of labels per sample."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import CheckError, PredictionError, did_you_mean
from slicedb.metrics.multilabel import EMPTY, LabelSets
from slicedb.metrics.outcomes import Bools
from slicedb.schema import schema_of
from slicedb.tasks.about import About
from slicedb.tasks.arrays import list_column, matrix_of, null_in, one_array
from slicedb.tasks.columns import predictions_schema
from slicedb.tasks.digests import digest_of_labels
from slicedb.tasks.given import GivenBatch, arrow_of, unknown_in
from slicedb.tasks.probabilities import sigmoid
from slicedb.tasks.task import AlignedRows, ModelOutput, NamedColumns, Shown, Task, TruthColumn

_LABELS = pa.list_(pa.string())


class Multilabel(Task[LabelSets]):
    """A sample has a set of labels, and the model predicts one, each label by itself."""

    name = "multilabel"
    reads = ("labels", "probabilities")
    mark = "truth"
    primary = "f1"
    empty = EMPTY

    def schema(self, width: int | None) -> pa.Schema:
        """Return the columns: `truth` is a digest of the labels that `loss` speaks of."""
        own = schema_of("labels string[], loss float32, correct bool, truth int64")
        return predictions_schema(own, width)

    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        """Return what logits (n, c) say, each of one label."""
        probabilities = sigmoid(np.asarray(output))
        lost = np.asarray(~np.isfinite(probabilities).all(axis=1))
        labels = _above(probabilities, about.classes, about.confidence)
        columns = {
            "labels": pc.if_else(pa.array(lost), pa.scalar(None, _LABELS), labels),
            "probabilities": list_column(probabilities.astype(np.float32), lost),
        }
        return columns, lost

    def recognises(self, names: Collection[str]) -> bool:
        return "labels" in names

    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        lists = not {"probabilities", "logits"}.isdisjoint(names)
        return {"labels", "probabilities", "logits", *(() if lists else classes)} & set(names)

    def read(self, batch: GivenBatch) -> NamedColumns:
        """Return labels, and probabilities where given; labels follow from those."""
        logits, probabilities = batch.scores()
        matrix = sigmoid(logits) if logits is not None else probabilities  # labels are of these
        labels = _sets(batch) if batch.has("labels") else None
        if matrix is None:
            if labels is None:
                raise PredictionError("Nothing is predicted.", "give probabilities= or labels=.")
            return {"labels": labels}
        if labels is None:
            labels = _above(matrix, batch.classes, batch.confidence)
        stored = matrix if logits is None else matrix.astype(logits.dtype)
        return {"labels": labels, "probabilities": list_column(stored)}

    def classes_in(self, truth: pa.Array) -> list[str]:
        return super().classes_in(pc.list_flatten(truth))

    def truth_of(self, about: About) -> TruthColumn:
        return TruthColumn("labels")

    def answers(
        self, column: pa.Array, classes: Sequence[str], least: float | None, place: str
    ) -> pa.Array:
        """Return sets of labels."""
        try:
            return column.cast(_LABELS)
        except pa.ArrowException:
            raise CheckError(
                f"{place[0].upper()}{place[1:]} is {column.type}, not a list of labels per sample.",
                "name a column of lists of names, or a multi-label model.",
            ) from None

    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        return digest_of_labels(truth)

    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        """Return loss, correct, and the digest of the labels."""
        labels = one_array(predictions["labels"])
        probabilities = None
        if "probabilities" in predictions.column_names:
            probabilities = np.nan_to_num(matrix_of(predictions["probabilities"]))
        sets = label_sets(labels, truth, about.classes, probabilities)
        unknown = null_in(truth, labels)
        return {
            "loss": pa.array(sets.losses().astype(np.float32), mask=unknown),
            "correct": pa.array(sets.correct, mask=unknown),
            "truth": digest_of_labels(truth),
        }

    def outcomes(self, rows: AlignedRows) -> LabelSets:
        """Return both sets of labels as matrices."""
        return label_sets(rows.column("labels"), rows.truth, rows.about.classes, rows.matrix())

    def shown(self, outcomes: LabelSets, row: int) -> Shown:
        """Return the two sets."""
        truth, predicted = (
            ", ".join(outcomes.classes[c] for c in np.flatnonzero(side[row])) or "(none)"
            for side in (outcomes.truth, outcomes.predicted)
        )
        return Shown(truth, predicted)

    def unjudged(self, row: Mapping[str, object], about: About) -> Shown:
        """Return the predicted set."""
        labels = cast(Sequence[str], row["labels"])
        return Shown("", ", ".join(labels) or "(none)")


def label_sets(
    predicted: pa.Array,
    truth: pa.Array,
    classes: tuple[str, ...],
    probabilities: npt.NDArray[np.floating] | None = None,
) -> LabelSets:
    """Return two columns of lists of labels as matrices; null lists are empty.

    Args:
        predicted: list<string> (n,).
        truth: list<string> (n,).
        classes: names; others follow, sorted.
        probabilities: (n, c), of the first c classes.
    """
    both = (truth, predicted)
    names = {name for side in both for name in pc.list_flatten(side).unique().to_pylist()}
    every = (*classes, *sorted(names - {None, *classes}))
    sides = []
    for side in both:
        code = pc.index_in(pc.list_flatten(side), value_set=pa.array(every, pa.string()))
        rows = pc.list_parent_indices(side).to_numpy(zero_copy_only=False)
        known = code.is_valid().to_numpy(zero_copy_only=False)
        matrix = np.zeros((len(side), len(every)), bool)
        matrix[rows[known], code.drop_null().to_numpy(zero_copy_only=False)] = True
        sides.append(matrix)
    return LabelSets(every, sides[0], sides[1], probabilities)


def _above(
    probabilities: npt.NDArray[np.floating], classes: tuple[str, ...], confidence: float
) -> pa.Array:
    """Return the labels whose probability is at least the confidence asked for."""
    rows, columns = np.nonzero(probabilities >= confidence)
    names = pa.array(list(classes), pa.string()).take(pa.array(columns))
    offsets = np.searchsorted(rows, np.arange(len(probabilities) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)


def _sets(batch: GivenBatch) -> pa.Array:
    """Return the given lists of labels.

    Raises:
        PredictionError: they are no lists of names, or a name is no class.
    """
    try:
        labels = arrow_of(batch.values["labels"], "labels", batch.place).cast(_LABELS)
    except pa.ArrowException as error:
        raise PredictionError(f"labels cannot be read: {error}", "a list of names each.") from error
    batch.check_length(len(labels), "labels")
    flat = pc.list_flatten(labels)
    bad = np.flatnonzero(unknown_in(flat, batch.classes) | np.asarray(flat.is_null()))
    if len(bad):
        row = int(pc.list_parent_indices(labels)[int(bad[0])].as_py())
        name = flat[int(bad[0])].as_py()
        raise PredictionError(
            f"Label {name!r} of {batch.row(row)} is no class.",
            did_you_mean(str(name), batch.classes, "classes") + " Declare others: classes=.",
        )
    return labels
