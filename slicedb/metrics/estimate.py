"""Values with what their intervals need, and the functions from sums to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slicedb import stats
from slicedb.metrics.outcomes import Floats, Ints

TAIL = 5
"""Wrong predictions from which on a slice shows how large losses are. By simulation with 3 wrong
ones the bounds of 30 samples miss as they promise, too, but for models that are right at random."""


class Estimate(NamedTuple):
    """Values of one metric, one element a slice."""

    value: Floats
    """float64 (s,), NaN where undefined."""
    size: Floats
    """float64 (s,): trials of a share (effective ones for averages), else samples."""
    error: Floats
    """float64 (s,): standard error; NaN where the size says it all."""
    floor: Floats | None = None
    """float64 (s,): what the lower bound starts from, where `value` is biased upwards."""
    draws: Floats | None = None
    """float64 (s, replicates): the value of resamples, NaN where undefined."""
    skew: Floats | None = None
    """float64 (s,): skewness of the values that a mean is of; None takes them for symmetric."""
    roof: Floats | None = None
    """float64 (s,): what the upper bound starts from, where `value` is biased downwards."""
    most: Floats | None = None
    """float64 (s,): the largest such value, where the samples do not show the tail that carries
    the mean; NaN where they do."""
    carriers: Floats | None = None
    """float64 (s,): about how many samples make the spread of a mean, (sum d^2)^2 / sum d^4 of the
    centred values; None where that is not known."""

    def at(self, i: int) -> Estimate:
        """Return the estimate of one slice, arrays of shape (1,)."""
        one = slice(i, i + 1)
        return Estimate(*(None if part is None else part[one] for part in self))  # type: ignore[arg-type]

    @classmethod
    def join(cls, parts: Sequence[Estimate]) -> Estimate:
        """Return the estimates of several groups of slices, one after the other."""
        fields = ([part for part in of_all if part is not None] for of_all in zip(*parts))
        return cls(*(np.concatenate(field) if field else None for field in fields))  # type: ignore[arg-type]


class PerClass(NamedTuple):
    """A ratio a class, and its derivatives by the three counts it is made of."""

    value: Floats
    """(s, c), NaN where undefined."""
    by_hit: Floats
    """d value / d true positives."""
    by_actual: Floats
    """d value / d samples of the class."""
    by_predicted: Floats
    """d value / d samples predicted as the class."""
    trials: Floats
    """Samples that decide the value."""
    bias: Floats | None = None
    """What the value is expected to be off by; None for nothing."""


def _divide(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(a, b))


def _counts(matrix: Ints) -> tuple[Floats, Floats, Floats]:
    hit = np.diagonal(matrix, axis1=-2, axis2=-1).astype(float)
    return hit, matrix.sum(axis=-1).astype(float), matrix.sum(axis=-2).astype(float)


def recalls(matrix: Ints) -> PerClass:
    """Return recall a class: the share of its samples that are found; NaN without samples."""
    hit, actual, _ = _counts(matrix)
    value = _divide(np.where(actual > 0, hit, np.nan), actual)
    return PerClass(value, _divide(1, actual), -_divide(value, actual), 0 * actual, actual)


def precisions(matrix: Ints) -> PerClass:
    """Return precision a class: the share of its predictions that are right; NaN without any."""
    hit, _, predicted = _counts(matrix)
    value = _divide(np.where(predicted > 0, hit, np.nan), predicted)
    return PerClass(
        value, _divide(1, predicted), 0 * predicted, -_divide(value, predicted), predicted
    )


def f1s(matrix: Ints) -> PerClass:
    """Return F1 a class: 2 hits / (actual + predicted); NaN where neither occurs.

    Both parts of the ratio are random, so that F1 of few samples is too low by about
    F1 (1 - F1) / (actual + predicted) (the second-order term of a ratio, Cochran 1977, 6.9).
    """
    hit, actual, predicted = _counts(matrix)
    both = actual + predicted
    value = _divide(np.where(both > 0, 2 * hit, np.nan), both)
    slope = -_divide(value, both)
    bias = -_divide(value * (1 - value), both)
    return PerClass(value, _divide(2, both), slope, slope, both - hit, bias)


def accuracy(matrix: Ints) -> Estimate:
    """Return the share of right predictions; micro precision, recall and F1 are the same."""
    hit, actual, _ = _counts(matrix)
    n = actual.sum(axis=-1)
    return Estimate(
        _divide(np.where(n > 0, hit.sum(axis=-1), np.nan), n), n, np.full_like(n, np.nan)
    )


def of_class(per_class: Callable[[Ints], PerClass], code: int) -> Callable[[Ints], Estimate]:
    """Return the function that gives one class's ratio, with its own trials."""

    def compute(matrix: Ints) -> Estimate:
        ratio = per_class(matrix)
        value, trials = ratio.value[..., code], ratio.trials[..., code]
        roof = None if ratio.bias is None else np.minimum(value - ratio.bias[..., code], 1.0)
        return Estimate(value, trials, np.full_like(value, np.nan), roof=roof)

    return compute


def average(
    per_class: Callable[[Ints], PerClass], weighted: bool = False, fill: bool = False
) -> Callable[[Ints], Estimate]:
    """Return the function that averages a ratio over the classes that count.

    The variance is the delta method's, sum over cells of count x gradient^2 (the ratios are
    homogeneous of degree 0); from it the effective size value (1 - value) / variance of a share
    (Korn & Graubard 1998), at most the size it would have were all classes alike.

    Args:
        per_class: the ratio.
        weighted: weigh classes by their samples instead of alike.
        fill: whether a class that has samples or is predicted, but has no ratio, counts as 0, as
            scikit-learn has it for precision and recall, so that these and F1 average over the
            same classes; else the classes count whose ratio is defined.
    """

    def compute(matrix: Ints) -> Estimate:
        ratio = _filled(per_class(matrix), matrix) if fill else per_class(matrix)
        defined = ~np.isnan(ratio.value)
        share = matrix.sum(axis=-1).astype(float) if weighted else np.ones_like(ratio.value)
        total = np.where(defined, share, 0.0).sum(axis=-1, keepdims=True)
        share = np.where(defined & (total > 0), _divide(share, total), 0.0)  # (s, c), sums to 1
        some = share.sum(axis=-1) > 0
        value = np.where(some, np.nansum(share * ratio.value, axis=-1), np.nan)
        slope = [share * np.where(defined, part, 0.0) for part in ratio[1:4]]
        by_actual = slope[1]
        if weighted:
            pull = _divide(ratio.value - value[..., None], total)
            by_actual = by_actual + np.where(defined, pull, 0.0)
        gradient = by_actual[..., :, None] + slope[2][..., None, :]
        index = np.arange(matrix.shape[-1])
        gradient[..., index, index] += slope[0]
        variance = (matrix * gradient**2).sum(axis=(-2, -1))
        most = _divide(1, np.where(share > 0, _divide(share**2, ratio.trials), 0.0).sum(axis=-1))
        size = _divide(value * (1 - value), variance)
        n = matrix.sum(axis=(-2, -1))  # a mistake is of two classes' F1, and counts once
        size = np.where(np.isnan(size), np.minimum(most, n), np.minimum(size, most))
        roof = None
        if ratio.bias is not None:
            roof = np.minimum(value - np.where(defined, share * ratio.bias, 0.0).sum(axis=-1), 1.0)
        return Estimate(value, size, np.full_like(value, np.nan), roof=roof)

    return compute


def _filled(ratio: PerClass, matrix: Ints) -> PerClass:
    """Return the ratios with 0 for classes that have samples or are predicted, but no value.

    Nothing is known of such a class, so that it is given one trial: the average is as uncertain
    as if it had been seen once.
    """
    _, actual, predicted = _counts(matrix)
    empty = np.isnan(ratio.value) & (actual + predicted > 0)
    parts = [np.where(empty, 0.0, part) for part in ratio[:4]]
    return ratio._replace(
        value=parts[0],
        by_hit=parts[1],
        by_actual=parts[2],
        by_predicted=parts[3],
        trials=np.where(empty, 1.0, ratio.trials),
    )


def share(sums: Floats) -> Estimate:
    """Return the mean of a 0-or-1 statistic from its moments (s, 3)."""
    n = sums[:, 0]
    value = _divide(np.where(n > 0, sums[:, 1], np.nan), n)
    return Estimate(value, n, np.full_like(value, np.nan))


def count(sums: Floats) -> Estimate:
    """Return the number of samples from moments (s, 3)."""
    n = sums[:, 0]
    return Estimate(n, n, np.full_like(n, np.nan))


def mean(sums: Floats) -> Estimate:
    """Return a mean, its standard error, the skewness and the carriers from moments (s, 5).

    Without the sums of the cubes, the fourth column, the values are taken for symmetric.
    """
    n, total, squares = sums.T[:3]
    value = _divide(np.where(n > 0, total, np.nan), n)
    variance = _divide(np.maximum(squares - total * value, 0.0), np.where(n > 1, n - 1, np.nan))
    skew = stats.skewness(total, squares, sums[:, 3], n) if sums.shape[1] > 3 else None
    error = np.sqrt(_divide(variance, n))
    carriers = _carriers(sums) if sums.shape[1] > 4 else None
    return Estimate(value, n, error, skew=skew, carriers=carriers)


def _carriers(sums: Floats) -> Floats:
    """Return about how many samples make the spread, from the sums of the first four powers."""
    n, total, squares, cubes, fourths = sums.T[:5]
    value = _divide(total, n)
    spread = np.maximum(squares - total * value, 0.0)
    fourth = fourths - 4 * value * cubes + 6 * value**2 * squares - 3 * n * value**4
    known = fourth > 1e-9 * fourths  # below rounding all values are the same
    return np.where(known, np.clip(_divide(spread**2, np.where(known, fourth, 1)), 1.0, n), n)


def mean_loss(most: float) -> Callable[[Floats], Estimate]:
    """Return the function from moments and the number of wrong predictions to a mean loss.

    Losses of wrong predictions are the tail that carries the mean. Where fewer than `TAIL` are
    wrong the sample does not show what that tail weighs, and the interval reaches as far as losses
    up to `most` can.

    Args:
        most: the largest loss a sample can have.
    """

    def compute(sums: Floats) -> Estimate:
        unseen = np.where(sums[:, 4] < TAIL, most, np.nan)
        return mean(sums[:, :4])._replace(most=unseen)

    return compute


def calibration(sums: Floats) -> Estimate:
    """Return the expected calibration error from the sums of the calibration state.

    sum over bins |sum of (correct - confidence)| / n (Naeini et al., AAAI 2015). That is biased
    upwards: in a bin without any gap, chance still makes one. So the lower bound starts from a
    cross-fitted value, in which one half of the samples says the sign of a bin's gap and the
    other half its size: at most the true error on average. The upper bound starts from the value.
    The error is that of the mean of the gaps, each with the sign of its bin.
    """
    n, squares = sums[:, 0], sums[:, 1]
    first, second = np.split(sums[:, 2:], 2, axis=1)
    value = _divide(np.where(n > 0, np.abs(first + second).sum(axis=1), np.nan), n)
    crossed = (np.sign(first) * second + np.sign(second) * first).sum(axis=1)
    floor = _divide(np.where(n > 0, crossed, np.nan), n)
    spread = np.maximum(squares - n * np.maximum(floor, 0.0) ** 2, 0.0)
    error = np.sqrt(_divide(spread, np.where(n > 1, n * (n - 1), np.nan)))
    return Estimate(value, n, error, floor)
