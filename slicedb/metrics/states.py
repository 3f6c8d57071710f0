"""Per-sample statistics: what a metric sums. Metrics with equal state share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slicedb.metrics.outcomes import EPSILON, Floats, Ints, Outcomes, TaskOutcomes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BINS = 15
"""Confidence bins of equal width (Guo et al., ICML 2017)."""


@dataclass(frozen=True)
class PerSample:
    """A number per sample that says how right its prediction is, or how wrong."""

    name: str
    values: Callable[..., Floats]
    """Outcomes of n samples -> float64 (n,)."""


@dataclass(frozen=True)
class MetricState:
    """One kind of per-sample statistic.

    `rows` gives codes (n,) that are counted, moments (n, d) that are summed (dense or scipy
    sparse), or, for metrics of the order of the scores, nothing: those are computed from the
    members themselves.
    """

    name: str
    kind: Literal["codes", "moments", "ranked"]
    needs: tuple[str, ...]
    """The columns of the outcomes that it reads."""
    rows: Callable[..., npt.NDArray[np.integer] | Floats | csr_matrix]


def mean_state(statistic: PerSample, needs: tuple[str, ...] = ()) -> MetricState:
    """Return the state of a metric that is the mean of a number per sample: moments (n, 5)."""

    def rows(outcomes: TaskOutcomes) -> Floats:
        values = statistic.values(outcomes)
        return np.concatenate([moments(values), values[:, None] ** 4], axis=1)

    return MetricState(statistic.name, "moments", needs, rows)


def moments(values: Floats) -> Floats:
    """Return float64 (n, 4): 1, the value, its square and its cube."""
    return np.stack([np.ones(len(values)), values, values**2, values**3], axis=1)


def loss_state(statistic: PerSample) -> MetricState:
    """Return the state of a mean loss: moments (n, 5), the last 1 for a wrong prediction."""

    def rows(outcomes: Outcomes) -> Floats:
        wrong = ~outcomes.correct
        return np.concatenate([moments(statistic.values(outcomes)), wrong[:, None]], axis=1)

    return MetricState(statistic.name, "moments", ("probabilities",), rows)


def log_losses(outcomes: Outcomes) -> Floats:
    """Return float64 (n,): minus the log of the label's probability, in nats."""
    return np.asarray(-np.log(np.clip(outcomes.true_probability(), EPSILON, 1.0)))


def brier_scores(outcomes: Outcomes) -> Floats:
    """Return float64 (n,) in [0, 2]: squared distance to the one-hot label, summed over classes.

    sum_c (p_c - y_c)^2 = sum_c p_c^2 - 2 p_label + 1 (Brier, Monthly Weather Review 1950).
    """
    assert outcomes.probabilities is not None
    p = outcomes.probabilities.astype(float)
    return np.asarray((p**2).sum(axis=1) - 2 * outcomes.true_probability() + 1)


def in_top(k: int) -> PerSample:
    """Return whether the label is among the k most probable classes.

    Where classes are equally probable, each order of them is as likely: a label tied with others
    counts the share of the orders in which it is among the k. A model that gives all of ten classes
    0.1 has a top-5 accuracy of one half, not of 1.
    """

    def inside(outcomes: Outcomes) -> Floats:
        assert outcomes.probabilities is not None
        p = outcomes.true_probability()[:, None]
        width = outcomes.probabilities.shape[1]
        ahead = (outcomes.probabilities > p).sum(axis=1)
        tied = np.maximum((outcomes.probabilities == p).sum(axis=1), 1)
        return np.where(outcomes.label < width, np.clip((k - ahead) / tied, 0.0, 1.0), 0.0)

    return PerSample(f"top_{k}", inside)


def confidence_bins(confidence: Floats) -> Ints:
    """Return int64 (n,): the bin of each confidence; bin i holds (i / BINS, (i + 1) / BINS]."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)


def _calibration(outcomes: Outcomes) -> csr_matrix:
    """Return sparse (n, 2 + 2 BINS): 1, the squared gap, the gap in the column of half and bin.

    Without halves of its own a sample's is a bit of the hash of its confidence, so that it does
    not depend on the other samples.
    """
    from scipy import sparse

    assert outcomes.confidence is not None
    n, gap = outcomes.n, outcomes.correct - outcomes.confidence
    bits = outcomes.confidence.astype(np.float64).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    tossed = bits >> np.uint64(63) if outcomes.half is None else outcomes.half
    half = tossed.astype(np.int64)
    column = np.zeros((n, 3), np.int64)
    column[:, 1], column[:, 2] = 1, 2 + half * BINS + confidence_bins(outcomes.confidence)
    values = np.stack([np.ones(n), gap**2, gap], axis=1)
    return sparse.csr_matrix(
        (values.ravel(), column.ravel(), np.arange(0, 3 * n + 1, 3)), shape=(n, 2 + 2 * BINS)
    )


def _nothing(outcomes: Outcomes) -> Floats:
    return np.empty((outcomes.n, 0))


CORRECT = PerSample("accuracy", lambda outcomes: outcomes.correct.astype(float))
LOG_LOSSES = PerSample("log_loss", log_losses)
BRIER_SCORES = PerSample("brier", brier_scores)

CONFUSION = MetricState("confusion", "codes", ("label", "prediction"), lambda o: o.codes)
LOG_LOSS = loss_state(LOG_LOSSES)
BRIER = loss_state(BRIER_SCORES)
CALIBRATION = MetricState("calibration", "moments", ("confidence",), _calibration)
RANKED = MetricState("ranked", "ranked", ("probabilities",), _nothing)
