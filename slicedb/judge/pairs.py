"""Two models on the samples that both of them saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from slicedb.errors import CheckError
from slicedb.judge.aligned import Aligned, load
from slicedb.keys import Keys
from slicedb.metrics import Membership, Metric, missing
from slicedb.store import Store

Floats = npt.NDArray[np.float64]

_BINARY = ("accuracy", "recall_micro", "precision_micro", "f1_micro", "recall_weighted")


class Pair:
    """Two models on the samples that both of them saw."""

    def __init__(self, model: Aligned, baseline: Aligned) -> None:
        if model.outcomes.task != baseline.outcomes.task:
            tasks = f"{model.model} does {model.outcomes.task}, {baseline.model} "
            raise CheckError(
                f"{tasks}does {baseline.outcomes.task}.", "compare models of the same task."
            )
        both = (model.row_of >= 0) & (baseline.row_of >= 0)
        self.rows = np.flatnonzero(both)  # of the universe
        self.row_of = np.where(both, np.cumsum(both) - 1, -1)
        self.a = model.outcomes.take(model.row_of[self.rows])
        self.b = baseline.outcomes.take(baseline.row_of[self.rows]).with_classes(self.a.classes)
        if len(self.b.classes) > len(self.a.classes):
            self.a = self.a.with_classes(self.b.classes)
        self._differences: dict[str, Floats | None] = {}

    def members(self, rows: Sequence[Keys]) -> Membership:
        """Return the membership over the common samples of slices given as universe rows."""
        found = [self.row_of[r] for r in rows]
        return Membership([f[f >= 0] for f in found], len(self.rows))

    def differences(self, metric: Metric, of: str | None) -> Floats | None:
        """Return float64 (n,) model - baseline a sample, or None where a metric has no such."""
        name = self.right_by(metric, of)
        if not name:
            return None
        if name not in self._differences:
            if name == "accuracy" and self.a.task == "classification":
                d = self.a.correct.astype(float) - self.b.correct
            elif not self.missing(metric):
                d = metric.state.rows(self.a)[:, 1] - metric.state.rows(self.b)[:, 1]
            else:
                d = np.full(self.a.n, np.nan)
            self._differences[name] = d
        return self._differences[name]

    def right_by(self, metric: Metric, of: str | None) -> str:
        """Return the metric whose value of a sample a metric averages, "" where there is none.

        Recall of a class is accuracy on the samples of that class.
        """
        if self.a.task == "classification" and (
            metric.name in _BINARY or (of and metric.name == "recall")
        ):
            return "accuracy"
        return metric.name if metric.is_mean and of is None else ""

    def missing(self, metric: Metric) -> str:
        """Return why one of the two does not have what a metric reads; empty when both have."""
        return missing(metric, self.a) or missing(metric, self.b)


def pair_of(store: Store, a: str, b: str) -> Pair:
    """Return two classifiers on the samples that both saw.

    Raises:
        UnknownModelError: one has no predictions.
        CheckError: one does not give each sample one class, so that nothing is right or wrong.
    """
    pair = Pair(load(store, a), load(store, b))
    if pair.a.task != "classification":
        raise CheckError(
            f"{a} does {pair.a.task}: its samples are not right or wrong.",
            "`slicedb evaluate` and `no worse than` in an expectation compare by other metrics.",
        )
    return pair
