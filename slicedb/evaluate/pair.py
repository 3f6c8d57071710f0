"""Two models on the samples that both of them saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from slicedb.evaluate.judged import Judged, Keys
from slicedb.metrics import Membership, Metric, Outcomes

Floats = npt.NDArray[np.float64]

_BINARY = ("accuracy", "recall_micro", "precision_micro", "f1_micro", "recall_weighted")


class Pair:
    """Two models on the samples that both of them saw."""

    def __init__(self, model: Judged, baseline: Judged) -> None:
        both = (model.row_of >= 0) & (baseline.row_of >= 0)
        self.rows = np.flatnonzero(both)  # of the universe
        self.row_of = np.where(both, np.cumsum(both) - 1, -1)
        self.a = model.outcomes.take(model.row_of[self.rows])
        self.b = _same_classes(baseline.outcomes.take(baseline.row_of[self.rows]), self.a.classes)
        if len(self.b.classes) > len(self.a.classes):
            self.a = _same_classes(self.a, self.b.classes)
        self.only_seen_by_model = (model.row_of >= 0) & (baseline.row_of < 0)
        self._differences: dict[str, Floats | None] = {}

    def members(self, rows: Sequence[Keys]) -> Membership:
        """Return the membership over the common samples of slices given as universe rows."""
        found = [self.row_of[r] for r in rows]
        return Membership([f[f >= 0] for f in found], len(self.rows))

    def differences(self, metric: Metric, of: str | None) -> Floats | None:
        """Return float64 (n,) model - baseline a sample, or None where a metric has no such."""
        name = "accuracy" if metric.name in _BINARY or (of and metric.name == "recall") else ""
        if not name and of is None and metric.state.kind == "moments" and metric.name != "ece":
            name = metric.name
        if not name:
            return None
        if name not in self._differences:
            if name == "accuracy":
                d = self.a.correct.astype(float) - self.b.correct
            elif set(metric.needs) <= self.a.columns & self.b.columns:
                d = metric.state.rows(self.a)[:, 1] - metric.state.rows(self.b)[:, 1]
            else:
                d = np.full(self.a.n, np.nan)
            self._differences[name] = d
        return self._differences[name]

    def of_class(self, code: int) -> npt.NDArray[np.bool_]:
        """Return bool (n,): the samples of one class."""
        return np.asarray(self.a.label == code)


def _same_classes(outcomes: Outcomes, classes: tuple[str, ...]) -> Outcomes:
    """Return outcomes with codes into `classes`, followed by those it does not have."""
    if outcomes.classes == classes:
        return outcomes
    union = classes + tuple(c for c in outcomes.classes if c not in classes)
    code = np.array([union.index(c) for c in outcomes.classes], np.int64)
    p = outcomes.probabilities
    if p is not None:
        wide = np.zeros((outcomes.n, len(union)))
        wide[:, code[: p.shape[1]]] = p
        p = wide
    return Outcomes(union, code[outcomes.label], code[outcomes.prediction], outcomes.confidence, p)
