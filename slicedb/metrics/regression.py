"""Metrics of models that predict a number.

>>> seen = Numbers(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
>>> seen.residual.tolist()
[0.5, 0.0]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from slicedb.metrics.estimate import Estimate, mean
from slicedb.metrics.metric import Metric
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.metrics.states import State, moments

TASK = "regression"
PRIMARY = "mae"

EMPTY = "no sample has both a target and a prediction"


@dataclass(frozen=True, eq=False)
class Numbers:
    """Samples with a target and a predicted number, one row each."""

    target: Floats
    """float64 (n,)."""
    value: Floats
    """float64 (n,)."""

    task: ClassVar[str] = TASK
    classes: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[frozenset[str]] = frozenset({"value", "target"})

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.target)

    @property
    def residual(self) -> Floats:
        """float64 (n,): value - target."""
        return np.asarray(self.value - self.target)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """bool (n,): the value is the target."""
        return np.asarray(self.residual == 0)

    def wrong(self, code: int | None = None) -> npt.NDArray[np.bool_]:
        """Return bool (n,): the value is not the target."""
        return ~self.correct

    def present_in(self, rows: Ints | slice) -> list[int]:
        """Return no codes: there are no classes."""
        return []

    def losses(self) -> Floats:
        """Return float64 (n,): squared residuals."""
        return np.asarray(self.residual**2)

    def take(self, rows: Ints) -> Numbers:
        """Return some rows, in the order given."""
        return Numbers(self.target[rows], self.value[rows])

    def with_classes(self, classes: tuple[str, ...]) -> Numbers:
        """Return itself: there are no classes."""
        return self


def _rmse(sums: Floats) -> Estimate:
    """Return the root of the mean square; its error is the delta method's."""
    square = mean(sums)
    value = np.sqrt(square.value)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(value > 0, square.error / (2 * value), square.error)
    return Estimate(value, square.size, error)


def _count(sums: Floats) -> Estimate:
    n = sums[:, 0]
    return Estimate(n, n, np.full_like(n, np.nan))


_N = ("value", "target")
_ABSOLUTE = State("abs_error", "moments", _N, lambda o: moments(np.abs(o.residual)))
_SQUARED = State("squared_error", "moments", _N, lambda o: moments(o.residual**2))
_SIGNED = State("residual", "moments", _N, lambda o: moments(o.residual))

_ROWS = (
    Metric("count", _ABSOLUTE, _count, "exact", EMPTY, task=TASK),
    Metric("mae", _ABSOLUTE, mean, "mean", EMPTY, rises=False, task=TASK, is_mean=True),
    Metric("rmse", _SQUARED, _rmse, "mean", EMPTY, rises=False, task=TASK),
    Metric("mse", _SQUARED, mean, "mean", EMPTY, rises=False, task=TASK, is_mean=True),
    Metric("bias", _SIGNED, mean, "mean", EMPTY, rises=False, task=TASK, is_mean=True),
)
_KNOWN = {m.name: m for m in _ROWS}


def names() -> list[str]:
    """Return the names."""
    return [m.name for m in _ROWS if m.name != "count"]


def find(word: str) -> Metric | None:
    """Return the metric of a name, None when there is none."""
    return _KNOWN.get({"mean_absolute_error": "mae"}.get(word, word))
