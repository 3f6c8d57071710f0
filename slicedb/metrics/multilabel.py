"""Metrics of models that give a sample any number of labels.

Averages over classes leave out those where the metric is undefined; `_micro` counts all
decisions together, `_weighted` weighs classes by their samples.

>>> truth, predicted = np.array([[[1, 1], [0, 1]], [[1, 0], [0, 1]]], bool)
>>> outcomes = LabelSets(("cat", "dog"), truth, predicted)
>>> metric = _averaged("f1", "micro")
>>> round(metric.compute(metric.name, outcomes).value.item(), 3)
0.8
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from slicedb.metrics import ratios
from slicedb.metrics.estimate import count, mean, share
from slicedb.metrics.metric import POSITIVE, Metric, Weighted
from slicedb.metrics.outcomes import EPSILON, Bools, Floats, Ints
from slicedb.metrics.ranked import area, rank_area
from slicedb.metrics.states import MetricState, PerSample, mean_state

Average = Literal["macro", "micro", "weighted"]

TASK = "multilabel"

EMPTY = "no sample has both labels and a prediction"
_NO_LABEL = "no sample has the label"
_NEVER = "the class is never predicted"
_NEITHER = "the class is neither a label nor predicted"
_ONE_KIND = "positives and negatives are both needed"


@dataclass(frozen=True, eq=False)
class LabelSets:
    """Samples with a set of labels and a predicted one, one row each."""

    classes: tuple[str, ...]
    """Names; the model's classes first, then labels it does not know."""
    truth: Bools
    """bool (n, c): the label is one of the sample's."""
    predicted: Bools
    """bool (n, c)."""
    probabilities: npt.NDArray[np.floating] | None = None
    """(n, c') in [0, 1], c' <= c: of the model's own classes, each by itself."""

    task: ClassVar[str] = TASK

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.truth)

    @property
    def columns(self) -> frozenset[str]:
        """What is known of each row."""
        return frozenset(
            {"labels"} | ({"probabilities"} if self.probabilities is not None else set())
        )

    @property
    def correct(self) -> Bools:
        """bool (n,): the whole set is right."""
        return np.asarray((self.truth == self.predicted).all(axis=1))

    def wrong(self, code: int | None = None) -> Bools:
        """Return bool (n,): some decision is wrong, or that on one class."""
        if code is None:
            return ~self.correct
        return np.asarray(self.truth[:, code] != self.predicted[:, code])

    @property
    def present(self) -> list[int]:
        """Codes of the classes that some sample has."""
        return self.present_in(slice(None))

    def present_in(self, rows: Ints | slice) -> list[int]:
        """Return the codes of the classes that some sample among rows has."""
        return [int(c) for c in np.flatnonzero(self.truth[rows].any(axis=0))]

    def scores(self, code: int) -> Floats:
        """Return float64 (n,): the probability of one class, 0 for a class the model lacks."""
        if self.probabilities is None or code >= self.probabilities.shape[1]:
            return np.zeros(self.n)
        return self.probabilities[:, code].astype(float)

    def positive(self, code: int) -> Bools:
        """Return bool (n,): the sample has the label."""
        return np.asarray(self.truth[:, code])

    def losses(self) -> Floats:
        """Return float64 (n,): cross entropy of each label by itself in nats, mean over classes.

        Without probabilities the share of wrong decisions.
        """
        if self.probabilities is None:
            return np.asarray((self.truth != self.predicted).mean(axis=1))
        p = np.zeros(self.truth.shape)
        p[:, : self.probabilities.shape[1]] = self.probabilities
        right = np.where(self.truth, p, 1 - p)
        return np.asarray(-np.log(np.clip(right, EPSILON, 1.0)).mean(axis=1))

    def take(self, rows: Ints) -> LabelSets:
        """Return some rows, in the order given."""
        p = None if self.probabilities is None else self.probabilities[rows]
        return LabelSets(self.classes, self.truth[rows], self.predicted[rows], p)

    def with_classes(self, classes: tuple[str, ...]) -> LabelSets:
        """Return the same with columns in the order of `classes`, and then names they lack."""
        if classes == self.classes:
            return self
        union = classes + tuple(c for c in self.classes if c not in classes)
        at = [union.index(c) for c in self.classes]
        wide = [np.zeros((self.n, len(union)), bool) for _ in range(2)]
        wide[0][:, at], wide[1][:, at] = self.truth, self.predicted
        p = self.probabilities
        if p is not None:
            scores = np.zeros((self.n, len(union)))
            scores[:, at[: p.shape[1]]] = p
            p = scores
        return LabelSets(union, wide[0], wide[1], p)


def _sums(o: LabelSets) -> Floats:
    """Return float64 (n, 3 c): true positives, labels and predictions of each class."""
    return np.concatenate([o.truth & o.predicted, o.truth, o.predicted], axis=1).astype(float)


def _value(part: str, how: Average, of: int | None) -> Callable[[Floats], Floats]:
    """Return the function from sums (b, 3 c) to values (b,)."""

    def value(sums: Floats) -> Floats:
        hit, actual, predicted = np.split(sums, 3, axis=1)  # (b, c)
        if of is not None:
            hit, actual, predicted = (x[:, of : of + 1] for x in (hit, actual, predicted))
        weight = actual if how == "weighted" else np.ones_like(hit)
        if how == "micro":
            hit, actual, predicted = (
                x.sum(axis=1, keepdims=True) for x in (hit, actual, predicted)
            )
            weight = np.ones_like(hit)
        below = {"precision": predicted, "recall": actual, "f1": (actual + predicted) / 2}[part]
        ratio = np.divide(hit, below, out=np.zeros_like(hit), where=below > 0)
        # averages count the classes that a sample has or is predicted, as scikit-learn does
        known = below > 0 if of is not None or how == "micro" else actual + predicted > 0
        weight = np.where(known, weight, 0.0)
        total = weight.sum(axis=1)
        return np.asarray((weight * ratio).sum(axis=1) / np.where(total > 0, total, np.nan))

    return value


def _averaged(part: str, how: Average, of: int | None = None) -> Metric:
    name = part if how == "macro" else f"{part}_{how}"
    value = _value(part, how, of)
    bias = 0.0 if part == "recall" else 1.0  # a ratio of random sums is off by about 1 / n

    def weighted(outcomes: LabelSets) -> Weighted:
        rows = _sums(outcomes)
        return lambda weights: value(np.asarray(weights) @ rows)

    return Metric(
        name,
        MetricState(f"sets {name}", "ranked", ("labels",), _sums),
        lambda _, outcomes: ratios.drawn(weighted(outcomes), outcomes.n, bias),
        "draws",
        {"precision": _NEVER, "recall": _NO_LABEL, "f1": _NEITHER}[part],
        TASK,
        by_class=how == "macro",
        bind=partial(_averaged, part, how),
        weighted=weighted,
        minimum=50,
        bias=bias,
    )


_N = ("labels",)
_EXACT = PerSample("accuracy", lambda o: o.correct.astype(float))
_WRONG = PerSample("hamming_loss", lambda o: (o.truth != o.predicted).mean(axis=1))
_ENTROPY = PerSample("log_loss", lambda o: o.losses())
_RANKED = MetricState("label ranks", "ranked", ("probabilities",), _sums)
_AVERAGES: tuple[Average, ...] = ("macro", "micro", "weighted")

ROWS = (
    Metric("count", mean_state(_EXACT, _N), count, "exact", EMPTY, TASK, POSITIVE),
    Metric(
        "accuracy",
        mean_state(_EXACT, _N),
        share,
        "share",
        EMPTY,
        TASK,
        aliases=("subset_accuracy",),
        sample=_EXACT,
    ),
    Metric(
        "hamming_loss",
        mean_state(_WRONG, _N),
        mean,
        "mean",
        EMPTY,
        TASK,
        rises=False,
        sample=_WRONG,
    ),
    *(_averaged(part, how) for part in ("precision", "recall", "f1") for how in _AVERAGES),
    Metric(
        "log_loss",
        mean_state(_ENTROPY, ("probabilities",)),
        mean,
        "mean",
        EMPTY,
        TASK,
        POSITIVE,
        rises=False,
        sample=_ENTROPY,
    ),
    Metric(
        "auroc",
        _RANKED,
        area,
        "rank",
        _ONE_KIND,
        TASK,
        by_class=True,
        influence=rank_area,
        minimum=10,
    ),
    Metric(
        "average_precision",
        _RANKED,
        area,
        "rank",
        _NO_LABEL,
        TASK,
        by_class=True,
        influence=rank_area,
        minimum=30,
    ),
)
