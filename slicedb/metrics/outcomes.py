"""What a classifier said about labelled samples, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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
    def correct(self) -> npt.NDArray[np.bool_]:
        """bool (n,): the prediction is the label."""
        return np.asarray(self.label == self.prediction)

    def true_probability(self) -> Floats:
        """Return float64 (n,): the probability of the label, 0 for a class the model lacks."""
        assert self.probabilities is not None
        width = self.probabilities.shape[1]
        known = np.minimum(self.label, width - 1)
        p = self.probabilities[np.arange(self.n), known].astype(float)
        return np.where(self.label < width, p, 0.0)

    def scores(self, code: int) -> Floats:
        """Return float64 (n,): the probability of one class, 0 for a class the model lacks."""
        assert self.probabilities is not None
        if code >= self.probabilities.shape[1]:
            return np.zeros(self.n)
        return self.probabilities[:, code].astype(float)

    def take(self, rows: Ints) -> Outcomes:
        """Return the outcomes of some rows, in the order given."""
        return Outcomes(
            self.classes,
            self.label[rows],
            self.prediction[rows],
            None if self.confidence is None else self.confidence[rows],
            None if self.probabilities is None else self.probabilities[rows],
        )

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
