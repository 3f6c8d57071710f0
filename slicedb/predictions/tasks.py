"""What differs from task to task: a row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.metrics.detections import Detections
from slicedb.metrics.multilabel import LabelSets
from slicedb.predictions.about import About
from slicedb.predictions.digests import digest_of_labels, digest_of_objects
from slicedb.predictions.truth import matrix_of, truth_of

Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class Task:
    """How a task's predictions are kept and held against the ground truth."""

    schema: Callable[[int | None], pa.Schema]
    """Width of the probabilities, where there are any -> columns of the table."""
    said: tuple[str, ...]
    """Columns that the model said; all others follow from them and the ground truth."""
    truth: Callable[[About], str]
    """The column of samples that holds the ground truth."""
    mark: str
    """The column that tells which ground truth a row speaks of."""
    marks: Callable[[pa.Array, About], pa.Array]
    """Ground truth -> values of that column; null where it is unknown."""
    derive: Callable[[pa.Table, pa.Array, About], Columns]
    """What the model said, and ground truth -> the columns that follow."""


def text_of(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array."""
    if isinstance(column, pa.Array):
        return column
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):  # what pyarrow makes of no chunks at all
        return pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], joined.type)
    return joined


def number_of(column: pa.Array) -> pa.Array:
    """Return a column as float64; text that is no number becomes null.

    >>> number_of(pa.array(["1.5", "old", None])).to_pylist()
    [1.5, None, None]
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        plain = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
        good = pc.match_substring_regex(column, plain)
        column = pc.utf8_trim_whitespace(pc.if_else(good, column, pa.scalar(None, column.type)))
    numbers = column.cast(pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def _class(said: pa.Table, truth: pa.Array, about: About) -> Columns:
    has = "probabilities" in said.column_names
    matrix = matrix_of(said["probabilities"]) if has else None
    return truth_of(truth, text_of(said["prediction"]), matrix, about.classes)


def _boxes(said: pa.Table, truth: pa.Array, about: About) -> Columns:
    found = text_of(said["objects"])
    seen = Detections.of(found, truth, about.classes, about.confidence)
    unknown = np.asarray(pc.or_(pc.is_null(truth), pc.is_null(found)))
    tp, fp, fn = seen.counts()
    total, matched = seen.overlap()
    iou = np.divide(total, matched, out=np.zeros(seen.n), where=matched > 0)
    return {
        "tp": pa.array(tp, pa.int64(), mask=unknown),
        "fp": pa.array(fp, pa.int64(), mask=unknown),
        "fn": pa.array(fn, pa.int64(), mask=unknown),
        "iou": pa.array(iou.astype(np.float32), mask=unknown | (matched == 0)),
        "loss": pa.array(seen.losses().astype(np.float32), mask=unknown),
        "correct": pa.array((fp == 0) & (fn == 0), mask=unknown),
        "truth": digest_of_objects(truth, about.confidence),
    }


def _number(said: pa.Table, truth: pa.Array, about: About) -> Columns:
    target = number_of(truth)
    residual = pc.subtract(text_of(said["value"]), target)
    return {
        "target": target,
        "residual": residual,
        "abs_error": pc.abs(residual),
        "loss": pc.multiply(residual, residual),
    }


def _labels(said: pa.Table, truth: pa.Array, about: About) -> Columns:
    found = text_of(said["labels"])
    probabilities = None
    if "probabilities" in said.column_names:
        probabilities = np.nan_to_num(matrix_of(said["probabilities"]))
    seen = label_sets(found, truth, about.classes, probabilities)
    unknown = np.asarray(pc.or_(pc.is_null(truth), pc.is_null(found)))
    return {
        "loss": pa.array(seen.losses().astype(np.float32), mask=unknown),
        "correct": pa.array(seen.correct, mask=unknown),
        "truth": digest_of_labels(truth),
    }


def label_sets(
    found: pa.Array,
    truth: pa.Array,
    classes: tuple[str, ...],
    probabilities: np.ndarray | None = None,
) -> LabelSets:
    """Return two columns of lists of labels as matrices; null lists are empty.

    Args:
        found: list<string> (n,), predicted.
        truth: list<string> (n,).
        classes: names; others follow, sorted.
        probabilities: (n, c), of the first c classes.
    """
    seen = {v for side in (found, truth) for v in pc.list_flatten(side).unique().to_pylist()}
    every = (*classes, *sorted(v for v in seen if v is not None and v not in set(classes)))
    sides = []
    for side in (truth, found):
        flat = pc.list_flatten(side)
        code = pc.index_in(flat, value_set=pa.array(every, pa.string()))
        rows = pc.list_parent_indices(side).to_numpy(zero_copy_only=False)
        known = code.is_valid().to_numpy(zero_copy_only=False)
        matrix = np.zeros((len(side), len(every)), bool)
        matrix[rows[known], code.drop_null().to_numpy(zero_copy_only=False)] = True
        sides.append(matrix)
    return LabelSets(every, sides[0], sides[1], probabilities)


TASKS: dict[str, Task] = {
    "classification": Task(
        schema.predictions_schema,
        ("prediction", "probabilities"),
        lambda about: "label",
        "label",
        lambda truth, about: truth,
        _class,
    ),
    "multilabel": Task(
        schema.label_sets_schema,
        ("labels", "probabilities"),
        lambda about: "labels",
        "truth",
        lambda truth, about: digest_of_labels(truth),
        _labels,
    ),
    "detection": Task(
        lambda width: schema.detections_schema(),
        ("objects",),
        lambda about: "objects",
        "truth",
        lambda truth, about: digest_of_objects(truth, about.confidence),
        _boxes,
    ),
    "regression": Task(
        lambda width: schema.numbers_schema(),
        ("value",),
        lambda about: about.target,
        "target",
        lambda truth, about: number_of(truth),
        _number,
    ),
}
