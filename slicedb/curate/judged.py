"""The samples that a discovery looks at, and how wrong the model is on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slicedb.curate.seen import seen
from slicedb.curate.units import Ints
from slicedb.errors import CheckError, PredictionError, SliceError
from slicedb.judge.aligned import Aligned, groups_of, load, universe
from slicedb.judge.truth import OtherTruth
from slicedb.keys import KeyIndex, Keys, distinct, mix
from slicedb.metrics.outcomes import Outcomes
from slicedb.show import numbers
from slicedb.store import Store

Floats = npt.NDArray[np.float64]

_LEAST = 30
"""Samples below which nothing can be found."""
_MOST = 200_000
"""Samples that are looked at; of more, so many are drawn."""
_GRADED = ("detection", "regression", "segmentation")
"""Tasks of which hardly a sample is wholly right: their loss is looked at."""
_CLASSES = 200
"""Classes from which on clusters are told apart by right and wrong alone."""


@dataclass(frozen=True)
class Wanted:
    """What to look for, and where."""

    by: tuple[str, ...] | None = None
    """Columns; None takes every one whose values are shared by many samples."""
    most: int = 10
    """Findings."""
    depth: int = 3
    """Conditions of one finding."""
    least: int | None = None
    """Samples of the smallest finding, in both halves."""
    group: str | None = None
    """A column: samples of one value are not independent."""
    measure: Literal["error", "loss"] | None = None
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples that are judged, and how wrong the model is on each.

    Args:
        aligned: all that the model predicted.
        keys: int64 (n,), ascending.
        outcomes: of them.
        error: float64 (n,), not negative.
        measure: what it is.
        left_out: samples asked for without a ground truth or a prediction.
        drawn_from: how many there were before some of them were drawn.
    """

    aligned: Aligned
    keys: Keys
    outcomes: Any
    error: Floats
    measure: Literal["error", "loss"]
    left_out: int
    drawn_from: int

    def groups(self, store: Store, column: str | None) -> Ints | None:
        """Return int64 (n,), from 0: the value of a column; None without a column."""
        if column is None:
            return None
        every = universe(store)
        code = groups_of(store, column)[every.rows(self.keys)]
        return np.asarray(np.unique(code, return_inverse=True)[1], np.int64)

    @property
    def labels(self) -> tuple[Floats, Floats]:
        """float64 (n, c) twice: 1 at the label, and the predicted probabilities; (n, 0) unknown."""
        outcomes = self.outcomes
        if not isinstance(outcomes, Outcomes) or len(outcomes.classes) > _CLASSES:
            wrong = (self.error > np.median(self.error)).astype(np.float64)
            return np.stack([wrong, 1 - wrong], axis=1), np.empty((len(self.keys), 0))
        every = np.eye(len(outcomes.classes))
        said = every[outcomes.prediction]
        if outcomes.probabilities is not None:
            said = np.zeros_like(said)
            said[:, : outcomes.probabilities.shape[1]] = outcomes.probabilities
        return every[outcomes.label], said


def judged(
    store: Store, model: str, asked: Keys, wanted: Wanted, truth: OtherTruth | None = None
) -> Samples:
    """Return the samples with ground truth and prediction among those asked for.

    Raises:
        UnknownModelError: nothing was ever predicted by that model.
        SliceError: there are no samples.
        PredictionError: none of them has a ground truth and a prediction.
        CheckError: fewer than 30 do, all are right, all are wrong, or all are of one class.
    """
    for name, value in (("most", wanted.most), ("depth", wanted.depth), ("least", wanted.least)):
        if value is not None and value < 1:
            raise CheckError(f"{name} is {value}.", "it is a whole number from 1.")
    aligned = load(store, model, truth)
    if not len(asked):
        raise SliceError("There are no samples to judge.", "the slice is empty; widen its query.")
    every = universe(store)
    rows = aligned.row_of[every.rows(asked)]
    rows = rows[rows >= 0]
    n = len(rows)
    if not n:
        raise PredictionError(
            f"None of the {len(asked):,} samples has both a ground truth and a prediction of "
            f"'{model}'.",
            f"run `slicedb predict {model}`, or log them with `slicedb log-predictions`.",
        )
    if n < _LEAST:
        raise CheckError(
            f"Only {numbers.count(n, 'sample')} can be judged, and half of them are for testing.",
            f"a discovery takes {_LEAST} samples or more.",
        )
    if n > _MOST:
        order = np.argsort(mix(aligned.keys[rows] + np.int64(wanted.seed)), kind="stable")
        rows = np.sort(rows[order[:_MOST]])
    _check_classes(aligned)
    outcomes = aligned.outcomes.take(rows)
    measure = wanted.measure or ("loss" if aligned.task.name in _GRADED else "error")
    error = outcomes.losses() if measure == "loss" else (~outcomes.correct).astype(np.float64)
    error = np.asarray(error, np.float64)
    _check(error, model, measure)
    left_out = len(distinct(asked)) - n
    return Samples(aligned, aligned.keys[rows], outcomes, error, measure, left_out, n)


def refuse_seen(store: Store, model: str, keys: Keys) -> None:
    """Refuse samples that a model was trained on.

    Args:
        store: the database.
        model: whose errors are to be explained.
        keys: int64 (n,): the samples.

    Raises:
        PredictionError: it has seen some of them.
    """
    known = seen(store, model)
    n = 0 if known is None else int(np.count_nonzero(KeyIndex(known.keys).has(keys)))
    if known is None or not n:
        return
    others = f'on="{known.unseen}"' if known.unseen else "on="
    raise PredictionError(
        f"'{model}' was trained on {n:,} of the {numbers.count(len(keys), 'sample')} "
        f"({known.why}): its errors there tell what it memorised, not where it fails.",
        f"judge it on samples that it has not seen: {others}.",
    )


def _check_classes(aligned: Aligned) -> None:
    outcomes = aligned.outcomes
    if isinstance(outcomes, Outcomes) and len(outcomes.present) == 1:
        name = outcomes.classes[outcomes.present[0]]
        raise CheckError(
            f"'{aligned.model}' predicted {numbers.count(outcomes.n, 'sample')}, all of one class, "
            f"'{name}'.",
            "predict samples of two classes or more.",
        )


def _check(error: Floats, model: str, measure: str) -> None:
    if np.isnan(error).any():
        unknown = numbers.count(int(np.isnan(error).sum()), "sample")
        raise CheckError(f"The loss of {unknown} is unknown.")
    samples = numbers.count(len(error), "sample")
    if not error.any():
        raise CheckError(
            f"'{model}' has all of {samples} right: there are no errors to explain.",
            'look at its loss (measure="loss"), or at harder samples.',
        )
    if error.min() == error.max():
        what = "wrong" if measure == "error" else f"at a loss of {error[0]:g}"
        raise CheckError(
            f"'{model}' has all of {samples} {what}: no part of them is worse than the rest.",
            "check that labels and class names of the predictions agree: `slicedb confusion`.",
        )
