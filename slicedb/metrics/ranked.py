"""Metrics of the ranking by score: AUROC and average precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from slicedb.metrics.estimate import Estimate
from slicedb.metrics.outcomes import Bools, Floats, Ints, Ranked

_CELLS = 2_000_000
"""Samples times classes that are ranked at once."""


class RankArea(NamedTuple):
    """The area under one class's curve against all others, or the mean of several."""

    value: float
    influence: Floats
    """float64 (n,): what each sample adds to the error of `value`."""
    trials: float
    """Samples that decide it."""
    bias: float = 0.0
    """What `value` is expected to be too high by."""


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Samples by rising score, for each of c classes."""

    order: Ints
    """(n, c): the sample at each place."""
    positive: Bools
    """(n, c): whether it is a positive."""
    start: Ints
    """(n, c): the first place of the samples that share its score."""
    end: Ints
    """(n, c): the place behind the last of them."""
    below: Floats
    """(n + 1, c): positives before each place."""

    @classmethod
    def of(cls, scores: Floats, positive: Bools) -> _Ordered:
        n = len(scores)
        order = np.argsort(scores, axis=0)  # the order among ties does not matter
        ordered = np.take_along_axis(scores, order, axis=0)
        is_positive = np.take_along_axis(positive, order, axis=0)
        place = np.arange(n)[:, None]
        first = np.ones(scores.shape, bool)
        first[1:] = ordered[1:] != ordered[:-1]
        last = np.ones(scores.shape, bool)
        last[:-1] = first[1:]
        start = np.maximum.accumulate(np.where(first, place, 0), axis=0)
        end = np.minimum.accumulate(np.where(last, place + 1, n)[::-1], axis=0)[::-1]
        below = np.zeros((n + 1, scores.shape[1]))
        np.cumsum(is_positive, axis=0, out=below[1:])
        return cls(order, is_positive, start, end, below)

    def by_sample(self, values: Floats) -> Floats:
        """Return values (n, c) by place in the order of the samples."""
        result = np.empty(values.shape)
        np.put_along_axis(result, self.order, values, axis=0)
        return result


def _at(places: Ints, sums: Floats) -> Floats:
    """Return the sums (n + 1, c) before some places (n, c)."""
    return np.take_along_axis(sums, places, axis=0)


_ByClass = tuple[Floats, Floats, Floats, Floats]


def _aurocs(scores: Floats, positive: Bools) -> _ByClass:
    """Return the areas (c,), the influences (n, c), the trials (c,) and the biases (c,)."""
    ranks = _Ordered.of(scores, positive)
    n, m = len(scores), ranks.below[-1]
    k = n - m
    p_below = _at(ranks.start, ranks.below)
    p_tied = _at(ranks.end, ranks.below) - p_below
    n_below = ranks.start - p_below
    n_tied = ranks.end - ranks.start - p_tied
    # samples of the other kind that it outranks, ties half; for a negative, that outrank it
    beaten = np.where(ranks.positive, n_below + n_tied / 2, m - p_below - p_tied / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = beaten / np.where(ranks.positive, k, m)
        value = np.where((m > 0) & (k > 0), (part * ranks.positive).sum(axis=0) / m, np.nan)
        count = np.where(ranks.positive, m, k).astype(float)
        # m (m - 1) instead of m^2: DeLong's unbiased variances
        weight = np.sqrt(1 / (count * np.maximum(count - 1.0, 1.0)))
        influence = (part - value) * weight
    return value, ranks.by_sample(influence), np.minimum(m, k).astype(float), np.zeros(len(m))


def _precisions(scores: Floats, positive: Bools) -> _ByClass:
    """Return the average precisions (c,), the influences (n, c), the trials (c,) and biases (c,).

    A positive counts in its own precision, which makes that too high by (1 - precision) / (samples
    at its score or above). The influences are the derivatives by the weight of a sample: a positive
    adds its own precision and raises that of the positives below it, a negative lowers the latter.
    """
    ranks = _Ordered.of(scores, positive)
    n, m = len(scores), ranks.below[-1]
    above = n - ranks.start  # samples at its score or above
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = (m - _at(ranks.start, ranks.below)) / above
        value = np.where(m > 0, (precision * ranks.positive).sum(axis=0) / m, np.nan)
        share = np.zeros((n + 1, scores.shape[1]))
        np.cumsum(ranks.positive / above, axis=0, out=share[1:])
        lost = np.zeros_like(share)
        np.cumsum(ranks.positive * precision / above, axis=0, out=lost[1:])
        gain = precision - value + _at(ranks.end, share)
        slope = np.where(ranks.positive, gain, 0.0) - _at(ranks.end, lost)
        influence = slope / m * np.sqrt(n / max(n - 1, 1))
        bias = np.where(m > 0, (ranks.positive * (1 - precision) / above).sum(axis=0) / m, 0.0)
    return value, ranks.by_sample(influence), m, bias


_Areas = Callable[[Floats, Bools], _ByClass]

AREAS: dict[str, _Areas] = {"auroc": _aurocs, "average_precision": _precisions}
"""From scores and positives (n, c) to the areas of all classes."""


def auroc(score: Floats, positive: Bools) -> RankArea | None:
    """Return the area under the ROC curve: P(a positive outscores a negative), ties half.

    The influences are DeLong's structural components (DeLong et al., Biometrics 1988).

    Args:
        score: float64 (n,).
        positive: bool (n,).

    Returns:
        The area, or None where positives or negatives are missing.
    """
    return _mean(_aurocs, iter([(score[:, None], positive[:, None])]))


def average_precision(score: Floats, positive: Bools) -> RankArea | None:
    """Return average precision: the precision at each positive, averaged; ties share a step.

    Args:
        score: float64 (n,).
        positive: bool (n,).

    Returns:
        The area, or None where there is no positive.
    """
    return _mean(_precisions, iter([(score[:, None], positive[:, None])]))


def rank_area(name: str, outcomes: Ranked, of: int | None = None) -> RankArea | None:
    """Return the area under one class's curve, or its mean over the classes where it is defined.

    Args:
        name: a key of `AREAS`.
        outcomes: the members of one slice.
        of: code of the class; None averages one-versus-rest over the classes with samples.

    Returns:
        The area, or None where it is not defined for any class.
    """
    codes = outcomes.present if of is None else [of]
    return _mean(AREAS[name], _blocks(outcomes, codes)) if outcomes.n else None


def _blocks(outcomes: Ranked, codes: Sequence[int]) -> Iterator[tuple[Floats, Bools]]:
    """Yield scores and positives (n, c) of a few classes at a time."""
    step = max(1, _CELLS // max(outcomes.n, 1))
    for i in range(0, len(codes), step):
        some = codes[i : i + step]
        scores = np.stack([outcomes.scores(c) for c in some], axis=1)
        yield scores, np.stack([outcomes.positive(c) for c in some], axis=1)


def _mean(areas: _Areas, blocks: Iterator[tuple[Floats, Bools]]) -> RankArea | None:
    value, bias, influence, inverse, known = 0.0, 0.0, np.zeros(0), 0.0, 0
    for scores, positive in blocks:
        values, influences, trials, biases = areas(scores, positive)
        defined = ~np.isnan(values)
        value += float(values[defined].sum())
        bias += float(biases[defined].sum())
        of_block = influences[:, defined].sum(axis=1)
        influence = influence + of_block if len(influence) else of_block
        inverse += float((1 / trials[defined]).sum())
        known += int(defined.sum())
    if not known:
        return None
    return RankArea(value / known, influence / known, known**2 / inverse, bias / known)


def area(name: str, outcomes: Ranked, of: int | None = None) -> Estimate:
    """Return the estimate of `rank_area`, arrays of shape (1,)."""
    curve = rank_area(name, outcomes, of)
    if curve is None:
        nan = np.array([np.nan])
        return Estimate(nan, np.array([0.0]), nan, nan)
    error = np.sqrt((curve.influence**2).sum())
    value, size = np.array([curve.value]), np.array([curve.trials])
    floor = np.maximum(value - curve.bias, 0.0)
    return Estimate(value, size, np.array([error]), floor)
