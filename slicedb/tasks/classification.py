"""Classification: one class per sample."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError, did_you_mean
from slicedb.metrics.classification import EMPTY
from slicedb.metrics.outcomes import Bools, Ints, Outcomes
from slicedb.schema import schema_of
from slicedb.tasks.about import LABEL, About
from slicedb.tasks.answers import answer_names, number_text
from slicedb.tasks.arrays import codes_of, in_class_order, matrix_of, one_array, recoded
from slicedb.tasks.columns import predictions_schema
from slicedb.tasks.given import GivenBatch, unknown_in
from slicedb.tasks.probabilities import are_probabilities, as_logits, score_columns, softmax
from slicedb.tasks.task import (
    AlignedRows,
    ConfusionCounts,
    ModelOutput,
    NamedColumns,
    Shown,
    Task,
    TruthColumn,
)

_SHOWN = 12
"""Classes that a note names."""
_TINY = np.finfo(np.float32).tiny
_AGREES = 1e-6
"""How much less likely than the most probable class a given prediction may be."""


class Classification(Task[Outcomes]):
    """A sample has a label, and the model says which, as a name or with probabilities."""

    name = "classification"
    reads = ("prediction", "confidence", "probabilities")
    optional = ("probabilities",)
    mark = "label"
    keeps = ("loss", "margin", "entropy")
    primary = "accuracy"
    empty = EMPTY
    one_class = True

    def schema(self, width: int | None) -> pa.Schema:
        """Return the columns; `label` is the one that `loss` and `correct` speak of."""
        own = schema_of(
            "prediction string, confidence float32, loss float32, correct bool, margin float32, "
            "entropy float32, label string"
        )
        return predictions_schema(own, width)

    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        """Return what logits (n, c) say."""
        logits = np.asarray(output)
        probabilities = softmax(logits).astype(np.float32)
        columns = score_columns(probabilities, about.classes, logits=logits)
        return columns, np.isnan(probabilities[:, 0])

    def recognises(self, names: Collection[str]) -> bool:
        scores = not {"probabilities", "logits"}.isdisjoint(names)
        return "prediction" in names or (scores and "labels" not in names)

    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        """Return the names of predictions, and those of classes that are columns.

        Beside probabilities a confidence is a column of the user's own: it follows from them.
        """
        scores = {"probabilities", "logits"} & set(names) or set(classes) & set(names)
        return {"prediction", *scores, *(() if scores else ("confidence",))} & set(names)

    def read(self, batch: GivenBatch) -> NamedColumns:
        """Return prediction, confidence, margin, entropy, and probabilities where given."""
        logits, probabilities = batch.scores()
        prediction = _named(batch) if batch.has("prediction") else None
        if logits is not None or probabilities is not None:
            return _scored(logits, probabilities, prediction, batch)
        if prediction is None:
            raise PredictionError(
                f"Nothing is predicted in {batch.place}; it has "
                f"{', '.join(['id', *batch.values][:8])}.",
                "give prediction, probabilities or logits; objects for boxes, value for a number, "
                "labels for several labels. Where columns are named like classes, classes= "
                "(--classes A,B) says so.",
            )
        n = len(batch.ids)
        return {
            "prediction": prediction,
            "confidence": _confidence(batch),
            "margin": pa.nulls(n, pa.float32()),
            "entropy": pa.nulls(n, pa.float32()),
        }

    def notes(self, batch: GivenBatch) -> list[str]:
        """Return in which order classes are taken, and whether logits are none."""
        notes = []
        if not {"logits", "probabilities"}.isdisjoint(batch.values) and not batch.declared:
            shown = ", ".join(batch.classes[:_SHOWN]) + (", ..." if batch.classes[_SHOWN:] else "")
            notes.append(
                f"The columns are taken for the labels in the order {shown}; classes= (--classes) "
                "gives another."
            )
        if batch.has("logits"):
            logits, _ = batch.scores()
            if logits is not None and are_probabilities(logits):
                notes.append(
                    "The logits are non-negative and sum to one: taken for probabilities, without "
                    "a softmax."
                )
        return notes

    def truth_of(self, about: About) -> TruthColumn:
        return TruthColumn(LABEL)

    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        return truth

    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        """Return loss, correct and label, as `loss_and_correct` does."""
        has = "probabilities" in predictions.column_names
        matrix = matrix_of(predictions["probabilities"]) if has else None
        return loss_and_correct(truth, one_array(predictions["prediction"]), matrix, about.classes)

    def outside(self, truth: pa.Array, classes: Sequence[str]) -> int:
        """Return how many labels are none of the model's classes: never correct, without loss."""
        return int(unknown_in(truth, classes).sum())

    def truth(self, column: pa.Array) -> pa.Array:
        return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()

    def answers(
        self, column: pa.Array, classes: Sequence[str], least: float | None, place: str
    ) -> pa.Array:
        """Return the class that each value means: names, numbers, or true and false."""
        return answer_names(column, classes, place).dictionary_encode()

    def outcomes(self, rows: AlignedRows) -> Outcomes:
        """Return labels and predictions as codes."""
        names, prediction = rows.codes("prediction")
        labels, label = codes_of(rows.truth)
        classes = rows.about.classes or names
        used = {labels[c] for c in np.flatnonzero(np.bincount(label))}
        used |= {names[c] for c in np.flatnonzero(np.bincount(prediction))}
        classes += tuple(in_class_order(used - set(classes)))
        return Outcomes(
            classes,
            recoded(labels, classes)[label],
            recoded(names, classes)[prediction],
            rows.numbers("confidence"),
            rows.matrix(),
            (rows.table["key"].to_numpy()[rows.order] & 1).astype(bool),  # keys are hashes
        )

    def confusion(self, outcomes: Outcomes, rows: Ints) -> ConfusionCounts:
        """Return how many samples of each class are predicted as each."""
        c = len(outcomes.classes)
        counts = np.bincount(outcomes.codes[rows], minlength=c * c)
        return ConfusionCounts(outcomes.classes, counts.reshape(c, c))

    def shown(self, outcomes: Outcomes, row: int) -> Shown:
        """Return label, prediction and confidence."""
        sure = None if outcomes.confidence is None else float(outcomes.confidence[row])
        label, prediction = outcomes.label[row], outcomes.prediction[row]
        return Shown(outcomes.classes[label], outcomes.classes[prediction], sure)


def loss_and_correct(
    labels: pa.Array,
    prediction: pa.Array,
    probabilities: npt.NDArray[np.floating] | None,
    classes: Sequence[str],
) -> NamedColumns:
    """Return the columns that speak of the ground truth.

    `correct` is `prediction = label` as SQL has it: null without a label or a prediction, and
    false for a label that is none of the model's classes. `loss` is the cross entropy
    -ln p(label) in nats, at most 87.3 (the smallest float32); it is null where the label is
    missing or none of the classes, and where there are no probabilities.

    Args:
        labels: string (n,), null where unknown.
        prediction: string (n,).
        probabilities: float32 (n, c), NaN where unknown; None when there are none.
    """
    correct = pc.equal(prediction, labels)
    if probabilities is None or not len(labels):
        loss = pa.nulls(len(labels), pa.float32())
    else:
        at = pc.index_in(labels, value_set=pa.array(list(classes), pa.string()))
        known = at.is_valid().to_numpy(zero_copy_only=False)
        column = at.fill_null(0).to_numpy(zero_copy_only=False)
        p = probabilities[np.arange(len(column)), column]
        values = np.maximum(-np.log(np.maximum(p, _TINY)), 0).astype(np.float32)
        loss = pa.array(values, pa.float32(), mask=~known | np.isnan(p))
    return {"loss": loss, "correct": correct, "label": labels}


def _scored(
    logits: npt.NDArray[np.floating] | None,
    probabilities: npt.NDArray[np.floating] | None,
    prediction: pa.Array | None,
    batch: GivenBatch,
) -> NamedColumns:
    """Return what follows from logits or probabilities (n, c), in their own precision."""
    if len(batch.classes) == 1:
        raise PredictionError(
            f"There is one class, '{batch.classes[0]}', in {batch.place}: every sample "
            "would be predicted as it.",
            "declare both, first that of 0 (classes=['no', 'yes']); a single logit is that "
            "of the second.",
        )
    if logits is not None:
        logits = as_logits(logits, len(batch.classes))
        matrix = softmax(logits)
        best = logits.argmax(axis=1)
        batch.changes.tied = _tied(matrix, logits)
    else:
        assert probabilities is not None
        matrix = batch.summing_to_one(probabilities)
        best = matrix.argmax(axis=1)
    if prediction is not None:
        given = _agreeing(prediction, matrix, batch)
        given = np.where(given < 0, best, given)
        batch.changes.kept = given != best
        best = given
    return score_columns(matrix, batch.classes, logits=logits, index=best)


def _tied(matrix: npt.NDArray[np.floating], logits: npt.NDArray[np.floating]) -> Bools:
    """Return bool (n,): where the best class is told by the logits and not by probabilities."""
    ties = (matrix == matrix.max(axis=1, keepdims=True)).sum(axis=1)
    rows = np.flatnonzero(ties > 1)
    tied = np.zeros(len(matrix), bool)
    best = logits[rows].max(axis=1, keepdims=True)
    tied[rows] = (logits[rows] == best).sum(axis=1) < ties[rows]
    return tied


def _named(batch: GivenBatch) -> pa.Array:
    """Return the predicted classes as names, of names or numbers of classes.

    Whole numbers are names where classes are called so ('3'), whatever type the column has, and
    else places in `classes=`. A table, a frame and a CSV of the same predictions say the same.

    Raises:
        PredictionError: one is no class.
    """
    column = batch.column("prediction")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = number_text(column)
    column = column.cast(pa.string())
    if not batch.classes:
        return column
    bad = unknown_in(column, batch.classes)
    if not bad.any():
        return column
    places = _as_numbers(column)
    if places is not None:
        names = places.cast(pa.string())  # 2.0 is class '2'
        if not unknown_in(names, batch.classes).any():
            return names
        if bad.sum() == len(column) - column.null_count:
            return _numbered(places, batch)
    i = int(np.flatnonzero(bad)[0])
    value = column[i].as_py()
    raise PredictionError(
        f"Prediction {value!r} of {batch.row(i)} is no class.",
        did_you_mean(str(value), batch.classes, "classes") + " Declare others with classes=.",
    )


def _as_numbers(column: pa.Array) -> pa.Array | None:
    """Return texts as int64 where all of them are whole numbers."""
    try:
        return column.cast(pa.float64()).cast(pa.int64())
    except pa.ArrowException:
        return None


def _numbered(column: pa.Array, batch: GivenBatch) -> pa.Array:
    most = len(batch.classes) if batch.declared else 0
    outside = pc.or_(pc.less(column, 0), pc.greater_equal(column, most))
    bad = np.flatnonzero(np.asarray(pc.fill_null(outside, False)))
    if len(bad):
        i = int(bad[0])
        raise PredictionError(
            f"Prediction {column[i].as_py()} of {batch.row(i)} is no class and no number of one: "
            f"there are {most} declared.",
            "numbers count from 0, in the order of classes= (--classes).",
        )
    return pa.array(list(batch.classes), pa.string()).take(column)


def _confidence(batch: GivenBatch) -> pa.Array:
    if not batch.has("confidence"):
        return pa.nulls(len(batch.ids), pa.float32())
    confidence = batch.numbers("confidence", np.float32)
    batch.check_length(len(confidence), "confidence")
    batch.check_unit(confidence, "confidence")
    return pa.array(confidence, pa.float32())


def _agreeing(prediction: pa.Array, matrix: npt.NDArray[np.floating], batch: GivenBatch) -> Ints:
    """Return int64 (n,): the number of each predicted class, -1 where there is none.

    Raises:
        PredictionError: another class is more probable, and not by rounding.
    """
    code = pc.index_in(prediction, value_set=pa.array(list(batch.classes), pa.string()))
    at: Ints = pc.fill_null(code, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    likely = matrix[np.arange(len(matrix)), at] >= matrix.max(axis=1) - _AGREES
    bad = np.flatnonzero((at >= 0) & ~likely)
    if len(bad):
        i = int(bad[0])
        raise PredictionError(
            f"{batch.row(i).capitalize()} is predicted '{prediction[i].as_py()}', its "
            f"probabilities say '{batch.classes[int(matrix[i].argmax())]}'.",
            "check the order of classes=, or leave one of the two away.",
        )
    return at
