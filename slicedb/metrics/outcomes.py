"""Ground truth beside predictions, one row per sample: the protocol, and that of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EPSILON = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to [EPSILON, 1] before the logarithm, as scikit-learn does."""


_SURE = 0.5
"""Probability above which what is left for the others is summed instead of subtracted."""
_LEAST = float(np.finfo(np.float64).tiny)


class TaskOutcomes(Protocol):
    """Ground truth and predictions of n samples, whatever the task."""

    task: ClassVar[str]
    """The task that they are of; metrics name it, too."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def n(self) -> int: ...
    @property
    def columns(self) -> frozenset[str]: ...
    @property
    def correct(self) -> Bools: ...
    def wrong(self, code: int | None = None) -> Bools: ...
    def present_in(self, rows: Ints | slice) -> list[int]: ...
    def losses(self) -> Floats: ...
    def take(self, rows: Ints) -> Self: ...
    def with_classes(self, classes: tuple[str, ...]) -> Self: ...


class Ranked(Protocol):
    """Scores a class."""

    @property
    def n(self) -> int: ...
    @property
    def present(self) -> list[int]: ...
    def scores(self, code: int) -> Floats: ...
    def positive(self, code: int) -> Bools: ...


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Labelled and predicted samples, one row each; others are left out before."""

    classes: tuple[str, ...]
    """Names; the model's classes first, then labels it does not know."""
    label: Ints
    """int64 (n,): ground truth, an index into `classes`."""
    prediction: Ints
    """int64 (n,): predicted class, an index into `classes`."""
    confidence: Floats | None = None
    """float64 (n,) in [0, 1]: of the predicted class."""
    probabilities: npt.NDArray[np.floating] | None = None
    """(n, c), c <= len(classes): of the model's own classes; rows sum to 1."""
    half: Bools | None = None
    """bool (n,): a fair coin a sample, for what is fitted on one half and measured on the other;
    None tosses it by the confidence."""

    task: ClassVar[str] = "classification"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.label)

    @property
    def columns(self) -> frozenset[str]:
        """What is known of each row, as metrics name it in `needs`."""
        known = {"label", "prediction"}
        known |= {"confidence"} if self.confidence is not None else set()
        known |= {"probabilities"} if self.probabilities is not None else set()
        return frozenset(known)

    @property
    def correct(self) -> Bools:
        """bool (n,): the prediction is the label."""
        return np.asarray(self.label == self.prediction)

    @cached_property
    def codes(self) -> npt.NDArray[np.integer]:
        """int32 or int64 (n,): label x classes + prediction, the cell of the confusion matrix."""
        c = len(self.classes)
        codes = self.label * c + self.prediction
        return codes.astype(np.int32) if c * c < 2**31 else codes

    def true_probability(self) -> Floats:
        """Return float64 (n,): the probability of the label, 0 for a class the model lacks."""
        assert self.probabilities is not None
        width = self.probabilities.shape[1]
        known = np.minimum(self.label, width - 1)
        p = self.probabilities[np.arange(self.n), known].astype(float)
        return np.where(self.label < width, p, 0.0)

    def scores(self, code: int) -> Floats:
        """Return float64 (n,): the log-odds of one class, lowest for a class the model lacks.

        They have the order of the probabilities and keep it where those are so near to 1 that
        float32 cannot tell them apart: what is left for the other classes still differs.
        """
        assert self.probabilities is not None
        if code >= self.probabilities.shape[1]:
            return np.zeros(self.n)
        p: Floats = self.probabilities[:, code].astype(float)
        rest: Floats = 1 - p
        sure = np.flatnonzero(p > _SURE)
        others = self.probabilities[sure].astype(float)
        others[:, code] = 0
        rest[sure] = others.sum(axis=1)
        odds: Floats = np.log(np.maximum(p, _LEAST)) - np.log(np.maximum(rest, _LEAST))
        return odds

    @property
    def present(self) -> list[int]:
        """Codes of the classes that some sample has."""
        return self.present_in(slice(None))

    def present_in(self, rows: Ints | slice) -> list[int]:
        """Return the codes of the classes that some sample among rows has."""
        return [int(c) for c in np.unique(self.label[rows])]

    def positive(self, code: int) -> Bools:
        """Return bool (n,): the label is the class."""
        return np.asarray(self.label == code)

    def wrong(self, code: int | None = None) -> Bools:
        """Return bool (n,): the prediction is not the label, one of them being a class if given."""
        wrong = self.label != self.prediction
        if code is not None:
            wrong &= (self.label == code) | (self.prediction == code)
        return np.asarray(wrong)

    def losses(self) -> Floats:
        """Return float64 (n,): minus the log of the label's probability, in nats.

        Without probabilities the confidence, so that a sure mistake is worse than an unsure one.
        """
        if self.probabilities is not None:
            return np.asarray(-np.log(np.clip(self.true_probability(), EPSILON, 1.0)))
        return np.zeros(self.n) if self.confidence is None else self.confidence

    def take(self, rows: Ints) -> Outcomes:
        """Return the outcomes of some rows, in the order given."""
        return Outcomes(
            self.classes,
            self.label[rows],
            self.prediction[rows],
            None if self.confidence is None else self.confidence[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.half is None else self.half[rows],
        )

    def with_classes(self, classes: tuple[str, ...]) -> Outcomes:
        """Return the same with codes into `classes`, followed by names it does not have."""
        if self.classes == classes:
            return self
        union = classes + tuple(c for c in self.classes if c not in classes)
        code = np.array([union.index(c) for c in self.classes], np.int64)
        p = self.probabilities
        if p is not None:
            wide = np.zeros((self.n, len(union)))
            wide[:, code[: p.shape[1]]] = p
            p = wide
        label, prediction = code[self.label], code[self.prediction]
        return Outcomes(union, label, prediction, self.confidence, p, self.half)

    @classmethod
    def of(
        cls,
        label: Sequence[str],
        prediction: Sequence[str],
        probabilities: npt.ArrayLike | None = None,
        classes: Sequence[str] | None = None,
    ) -> Outcomes:
        """Build outcomes from names.

        Args:
            label: ground truth a sample.
            prediction: predicted class a sample.
            probabilities: (n, c), columns in the order of `classes`.
            classes: names; by default those that occur, sorted.
        """
        known = list(classes) if classes is not None else sorted({*label, *prediction})
        known += sorted({*label, *prediction} - set(known))
        code = {name: i for i, name in enumerate(known)}
        p = None if probabilities is None else np.asarray(probabilities)
        return cls(
            tuple(known),
            np.array([code[name] for name in label], np.int64),
            np.array([code[name] for name in prediction], np.int64),
            None if p is None else (p.max(axis=1).astype(float) if p.size else np.zeros(len(p))),
            p,
        )
