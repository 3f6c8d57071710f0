"""Line up two models on the samples that both of them predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slicedb.errors import CheckError
from slicedb.judge.aligned import Aligned, load
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.metrics import Membership, Metric, PerSample, missing
from slicedb.metrics.outcomes import Floats
from slicedb.store import Store
from slicedb.tasks import TASKS


class Pair:
    """Two models on the samples that both of them saw."""

    def __init__(self, model: Aligned, baseline: Aligned) -> None:
        if model.outcomes.task != baseline.outcomes.task:
            tasks = f"{model.model} does {model.outcomes.task}, {baseline.model} "
            raise CheckError(
                f"{tasks}does {baseline.outcomes.task}.", "compare models of the same task."
            )
        if np.array_equal(model.row_of, baseline.row_of):  # the usual case: nothing is copied
            self.rows, self.row_of = model.rows, model.row_of
            self.a, b = model.outcomes, baseline.outcomes
        else:
            both = (model.row_of >= 0) & (baseline.row_of >= 0)
            self.rows = np.flatnonzero(both)  # of the universe
            self.row_of = np.where(both, np.cumsum(both) - 1, -1)
            self.a = model.outcomes.take(model.row_of[self.rows])
            b = baseline.outcomes.take(baseline.row_of[self.rows])
        self.b = b.with_classes(self.a.classes)
        if len(self.b.classes) > len(self.a.classes):
            self.a = self.a.with_classes(self.b.classes)
        self._differences: dict[str, Floats] = {}

    def members(self, rows: Sequence[Keys]) -> Membership:
        """Return the membership over the common samples of slices given as universe rows."""
        if len(self.rows) == len(self.row_of):  # every sample has both, rows are the same
            return Membership(rows, len(self.rows))
        positions = (self.row_of[r] for r in rows)
        return Membership([p[p >= 0] for p in positions], len(self.rows))

    def differences(self, metric: Metric, of: str | None) -> Floats | None:
        """Return float64 (n,): model minus baseline for each sample; None for other metrics."""
        statistic = _per_sample(metric, of)
        if statistic is None:
            return None
        if statistic.name not in self._differences:
            missing = self.missing(metric)
            d = np.full(self.a.n, np.nan) if missing else self._difference(statistic)
            self._differences[statistic.name] = d
        return self._differences[statistic.name]

    def _difference(self, statistic: PerSample) -> Floats:
        return np.asarray(statistic.values(self.a) - statistic.values(self.b))

    def right_by(self, metric: Metric, of: str | None) -> str:
        """Return the name of what a metric averages over samples, "" where there is no such."""
        statistic = _per_sample(metric, of)
        return "" if statistic is None else statistic.name

    def missing(self, metric: Metric) -> str:
        """Return why one of the two does not have what a metric reads; empty when both have."""
        return missing(metric, self.a) or missing(metric, self.b)


def _per_sample(metric: Metric, of: str | None) -> PerSample | None:
    return metric.sample if of is None else metric.sample_of_class


def pair_of(store: Store, a: str, b: str, truth: OtherTruth | None = None) -> Pair:
    """Return two classifiers on the samples that both saw.

    Raises:
        UnknownModelError: one has no predictions.
        CheckError: one does not give each sample one class, so that nothing is right or wrong.
    """
    pair = Pair(load(store, a, truth, light=True), load(store, b, truth, light=True))
    if not TASKS[pair.a.task].one_class:
        raise CheckError(
            f"{a} does {pair.a.task}: its samples are not right or wrong.",
            "`slicedb evaluate` and `no worse than` in an expectation compare by other metrics.",
        )
    return pair
