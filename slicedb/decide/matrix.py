"""Read what a decision costs: a matrix of truth by decision."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.errors import CheckError, ClassesError, did_you_mean
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.show import text
from slicedb.show.numbers import number

Costs: TypeAlias = (
    "CostMatrix | Mapping[str, Mapping[str, float]] | npt.ArrayLike | pa.Table | str | os.PathLike"
)
"""A cost matrix, or what one is made from: rows of numbers in the order of the model's classes,
`{truth: {decision: cost}}`, a table or CSV file whose first column names the truth and whose
other columns are named by the decision."""


@dataclass(frozen=True, eq=False)
class CostMatrix:
    """Costs of each truth (row) and decision (column), not negative.

    >>> print(CostMatrix.of([[0, 1], [5, 0]], classes=["ok", "sick"]))
    truth  ok  sick
    -----  --  ----
    ok      0     1
    sick    5     0
    """

    classes: tuple[str, ...]
    values: Floats
    """float64 (c, c): cost of deciding the column where the row is true."""

    def __post_init__(self) -> None:
        c = len(self.classes)
        if self.values.shape != (c, c):
            shape = " x ".join(map(str, self.values.shape))
            raise ClassesError(
                f"The cost matrix is {shape}; there are {c} classes.",
                f"give {c} x {c} numbers, rows the truth, columns the decision, in the order "
                f"{', '.join(self.classes[:12])}{', ...' if c > 12 else ''}.",
            )
        wrong = np.argwhere(~np.isfinite(self.values) | (self.values < 0))
        if len(wrong):
            row, column = wrong[0]
            raise CheckError(
                f"The cost of '{self.classes[column]}' where '{self.classes[row]}' is true is "
                f"{self.values[row, column]:g}.",
                "costs are finite and not negative; add the same number to a row to make them so.",
            )

    @classmethod
    def of(cls, costs: Costs | None, classes: Sequence[str]) -> CostMatrix:
        """Return the matrix over exactly these classes, in their order.

        Args:
            costs: the costs; None is 0 for right and 1 for wrong. Names may come in any order and
                may hold more classes than asked for.
            classes: names of the truth and of the decisions.

        Raises:
            ClassesError: the shape is wrong, or a class has no row or no column.
            CheckError: a cost is negative, infinite or not a number.
        """
        wanted = tuple(classes)
        if costs is None:
            return cls(wanted, 1.0 - np.eye(len(wanted)))
        if isinstance(costs, (str, os.PathLike)):
            costs = _read(costs)
        if isinstance(costs, pa.Table):
            costs = _from_table(costs)
        if isinstance(costs, CostMatrix):
            costs = {
                truth: dict(zip(costs.classes, row))
                for truth, row in zip(costs.classes, costs.values.tolist())
            }
        if not isinstance(costs, Mapping):
            return cls(wanted, _numbers(costs))
        _same_names(costs, "row", wanted)
        for truth in wanted:
            _same_names(costs[truth], f"column, in the row '{truth}',", wanted)
        return cls(wanted, _numbers([[costs[t][d] for d in wanted] for t in wanted]))

    @property
    def is_zero_one(self) -> bool:
        """Whether every mistake costs 1 and being right nothing."""
        return bool((self.values == 1.0 - np.eye(len(self.classes))).all())

    def to_arrow(self) -> pa.Table:
        """Return one row per truth, the form that a CSV file has."""
        columns = {name: self.values[:, i] for i, name in enumerate(self.classes)}
        return pa.table({"truth": list(self.classes), **columns})

    def __str__(self) -> str:
        rows = [[t, *map(number, row.tolist())] for t, row in zip(self.classes, self.values)]
        return text.table(["truth", *self.classes], rows, align="<" + ">" * len(self.classes))


def cheapest(probabilities: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Ints, Floats]:
    """Return the Bayes decisions: those of the least expected cost.

    They are optimal where the probabilities are calibrated (Elkan, IJCAI 2001). Of equal ones the
    first class wins.

    Args:
        probabilities: float (n, c), rows sum to 1.
        values: float (c, d): cost of each truth and decision.

    Returns:
        int64 (n,) decisions, and float64 (n,) their expected costs.

    >>> cheapest([[0.8, 0.2]], [[0, 1], [5, 0]])
    (array([1]), array([0.8]))
    """
    expected = np.asarray(probabilities, np.float64) @ np.asarray(values, np.float64)
    decision = np.argmin(expected, axis=1)  # (n, c) @ (c, d) -> (n, d)
    return decision, expected[np.arange(len(decision)), decision]


def _numbers(costs: object) -> Floats:
    try:
        return np.array(costs, np.float64)
    except (TypeError, ValueError) as error:
        raise ClassesError(
            f"The cost matrix is not made of rows of numbers: {error}.",
            "give as many rows as classes, all of that length.",
        ) from error


def _same_names(given: Mapping[str, object], what: str, wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in given:
            raise ClassesError(
                f"The cost matrix has no {what} for the class '{name}'.",
                did_you_mean(name, [str(g) for g in given], "it names"),
            )


def _read(path: str | os.PathLike) -> pa.Table:
    from pyarrow import csv

    try:
        return csv.read_csv(os.fspath(path))
    except (OSError, pa.ArrowInvalid) as error:
        raise CheckError(
            f"The cost matrix '{os.fspath(path)}' cannot be read: {str(error).splitlines()[0]}",
            "give a CSV file: a first column of true classes, then one column per decision.",
        ) from error


def _from_table(table: pa.Table) -> dict[str, dict[str, float]]:
    truth, *decisions = table.column_names
    rows = table.select(decisions).to_pylist()
    return dict(zip([str(name) for name in table[truth].to_pylist()], rows))
