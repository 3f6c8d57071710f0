"""The decision problem: what every decision costs every sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.decide.matrix import CostMatrix
from slicedb.errors import CheckError, ClassesError, did_you_mean
from slicedb.judge.predicted import Predicted, floats
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.show import numbers

Price: TypeAlias = "float | str"
"""A number, or the name of a numeric column of samples."""


@dataclass(frozen=True, eq=False)
class Case:
    """The decision problem: what every decision costs every sample."""

    samples: Predicted
    values: Floats
    """float64 (c, d): cost of truth and decision."""
    weight: Floats
    """float64 (n, d): what a decision's cost on a sample is multiplied by."""
    truth: Ints
    decided: Ints
    """int64 (n,): by the model as it is."""
    probabilities: Floats
    """float64 (n, k), k <= c: of the truths the model knows."""
    names: tuple[str, ...]
    """Of the decisions."""
    confidence: float
    folds: int
    seed: int

    def cost(self, decisions: npt.ArrayLike) -> Floats:
        """Return float64 (n,): what decisions (n,) cost."""
        chosen = np.asarray(decisions, np.int64)
        rows = np.arange(len(chosen))
        return np.asarray(self.values[self.truth, chosen] * self.weight[rows, chosen])

    def plan(self, probabilities: Floats) -> tuple[Ints, Floats]:
        """Return the decisions of least expected cost, and that cost."""
        known = probabilities.shape[1]
        expected = probabilities @ self.values[:known] * self.weight
        expected = expected[:, : max(known, 1)]  # a model cannot decide for a class it lacks
        chosen = np.argmin(expected, axis=1)
        return chosen, expected[np.arange(len(chosen)), chosen]


def many(
    samples: Predicted, matrix: CostMatrix, factor: Floats, confidence: float, folds: int, seed: int
) -> Case:
    """Return the problem of choosing one of all classes, by a matrix of costs."""
    outcomes = samples.outcomes
    assert outcomes.probabilities is not None
    weight = np.broadcast_to(factor[:, None], (samples.n, len(matrix.classes)))
    p = _normal(outcomes.probabilities)
    return Case(
        samples,
        matrix.values,
        weight,
        outcomes.label,
        outcomes.prediction,
        p,
        outcomes.classes,
        confidence,
        folds,
        seed,
    )


def binary(
    samples: Predicted,
    positive: str,
    false_positive: Floats,
    false_negative: Floats,
    confidence: float,
    folds: int,
    seed: int,
) -> Case:
    """Return the problem of saying yes or no to one class, by the cost of either mistake.

    Raises:
        ClassesError: the model has no such class.
    """
    outcomes = samples.outcomes
    if positive not in samples.classes:
        hint = did_you_mean(positive, samples.classes, "its classes")
        raise ClassesError(f"'{samples.model}' has no class '{positive}'.", hint)
    code = samples.classes.index(positive)
    assert outcomes.probabilities is not None
    p = _normal(outcomes.probabilities)[:, code]
    return Case(
        samples,
        np.array([[0.0, 1.0], [1.0, 0.0]]),
        np.stack([false_negative, false_positive], 1),
        (outcomes.label == code).astype(np.int64),
        (outcomes.prediction == code).astype(np.int64),
        np.stack([1 - p, p], axis=1),
        (f"not {positive}", positive),
        confidence,
        folds,
        seed,
    )


def _normal(probabilities: npt.NDArray[np.floating]) -> Floats:
    p = probabilities.astype(np.float64)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def price_of(samples: Predicted, price: Price) -> Floats:
    """Return float64 (n,): the cost of each sample.

    Raises:
        CheckError: it is negative, infinite or missing.
    """
    if isinstance(price, str):
        column = samples.rows[price]
        if not (
            pa.types.is_integer(column.type)
            or pa.types.is_floating(column.type)
            or pa.types.is_decimal(column.type)
        ):
            raise CheckError(
                f"The column '{price}' is {column.type}, not a number.", "name a cost."
            )
        values = floats(column)
    else:
        values = np.full(samples.n, float(price))
    wrong = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if len(wrong):
        where = (
            f" of '{samples.rows['id'][int(wrong[0])].as_py()}'" if isinstance(price, str) else ""
        )
        named = f" in '{price}'" if isinstance(price, str) else ""
        such = numbers.count(len(wrong), "such sample")
        raise CheckError(
            f"The cost{named}{where} is {values[wrong[0]]:g}{f' ({such})' if named else ''}.",
            "costs are finite and not negative; leave such samples out of the slice.",
        )
    return values


def score_of(case: Case) -> npt.NDArray[np.floating]:
    """Return (n,): the probability of the positive class as stored, which is what a query sees."""
    probabilities = case.samples.outcomes.probabilities
    assert probabilities is not None
    return probabilities[:, case.samples.classes.index(case.names[1])]


def span_of(values: Floats, weight: Floats) -> tuple[float, float]:
    """Return the least and the largest cost of a sample, by a matrix and factors."""
    if not weight.size:
        return 0.0, 0.0
    ends = np.multiply.outer([values.min(), values.max()], [weight.min(), weight.max()])
    return float(ends.min()), float(ends.max())
