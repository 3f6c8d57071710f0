"""Ratios of sums whose parts come in clusters (boxes of an image), and estimates from resamples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from slicedb import stats
from slicedb.metrics.estimate import Estimate
from slicedb.metrics.outcomes import Floats

REPLICATES = 1000
"""Resamples an interval rests on."""

_STRETCH = 12.0
"""How much further down resamples of average precision are moved, over their number. Without it 12,
7 and 6 % of slices of 30, 60 and 100 images PASS at their true mAP."""


def parts(above: npt.ArrayLike, below: npt.ArrayLike) -> Floats:
    """Return float64 (n, 7) to be summed: what the ratio of two columns and its error need."""
    a, b = np.asarray(above, float), np.asarray(below, float)
    return np.stack([np.ones(len(a)), a, b, a * a, a * b, b * b, b > 0], axis=1)


def _ratio(sums: Floats) -> tuple[Floats, Floats]:
    """Return the ratio and its variance by linearisation (Cochran 1977, 6.4).

    Only the images count that have any boxes; of one alone the variance is not known.
    """
    _, a, b, aa, ab, bb, n = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(b > 0, a, np.nan) / b
        spread = np.maximum(aa - 2 * value * ab + value**2 * bb, 0.0)
        return value, np.where(n > 1, spread / b**2 * n / (n - 1), np.nan)


def share(sums: Floats) -> Estimate:
    """Return a share of boxes from sums (s, 7) over images.

    Boxes of one image are not independent, so the trials are the effective ones, value
    (1 - value) / variance (Korn & Graubard 1998), at most the boxes; where all are right or all
    wrong, the images that have any.
    """
    value, variance = _ratio(sums)
    boxes, images = sums[:, 2], sums[:, 6]
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.minimum(value * (1 - value) / variance, boxes)
    size = np.where((variance > 0) & (size > 0), size, np.minimum(boxes, images))
    return Estimate(value, size, np.full_like(value, np.nan))


def mean(sums: Floats) -> Estimate:
    """Return a mean over boxes from sums (s, 7) over images, with its standard error."""
    value, variance = _ratio(sums)
    return Estimate(value, sums[:, 6], np.sqrt(variance))


def recentred(draws: Floats, value: float, bias: float, n: int) -> Floats:
    """Return draws moved by the bias they show, theirs and `bias` times that of the value.

    They are spread about the value as Student's law asks of so few samples, too.

    Where the bias shrinks like 1/n the value's is as large as the resamples' (`bias` 1). That of
    average precision grows with the noise itself, because precision is the best at a recall or
    a higher one: the value carries c s, a resample of it c sqrt(2) s, so the difference seen is
    sqrt(2) - 1 of what the value carries, and `bias` 1 / (sqrt(2) - 1) = 1 + sqrt(2).

    Args:
        draws: float64 (b,), NaN where undefined.
        value: the statistic of the sample itself.
        bias: 0 moves nothing.
        n: samples that are drawn; few of them do not show how far the value may lie too high.
    """
    if np.isnan(draws).all():
        return draws
    moved = draws - (1 + bias) * (np.nanmean(draws) - value) if bias else draws
    if bias > 1:
        moved = np.where(moved < value, value - (value - moved) * (1 + _STRETCH / n), moved)
    return value + (moved - value) * stats.bootstrap_width(n)


def _unseen(value: float, n: int, count: int) -> Floats:
    """Return float64 (count,): numbers whose quantiles are the exact bounds of a share of n."""
    from scipy.special import betaincinv

    at, hits = (np.arange(count) + 0.5) / count, value * n
    low = betaincinv(hits, n - hits + 1, at) if hits > 0 else np.zeros(count)
    high = betaincinv(hits + 1, n - hits, at) if hits < n else np.ones(count)
    return np.where(at < 0.5, np.minimum(low, value), np.maximum(high, value))


def drawn(
    statistic: Callable[[Floats], Floats], n: int, bias: float = 0.0, replicates: int = REPLICATES
) -> Estimate:
    """Return the estimate of one slice of n samples, with resamples of whole samples.

    Args:
        statistic: weights (b, n) -> values (b,) in [0, 1].
        n: samples.
        bias: see `recentred`.
        replicates: resamples, at most `REPLICATES`.

    Returns:
        Arrays of shape (1,), draws (1, REPLICATES), NaN beyond `replicates`.
    """
    if n == 0:
        nan = np.array([np.nan])
        return Estimate(nan, np.zeros(1), nan, draws=np.full((1, REPLICATES), np.nan))
    value = np.asarray(statistic(np.ones((1, n))), float)
    if np.isnan(value[0]):
        draws = np.full(REPLICATES, np.nan)
    else:
        raw = stats.bootstrap_draws(statistic, n, replicates=replicates)
        draws = np.full(REPLICATES, np.nan)
        draws[:replicates] = np.clip(recentred(raw, float(value[0]), bias, n), 0.0, 1.0)
        if np.nanmin(draws) == np.nanmax(draws):  # no resample differs, but the next sample may
            draws[:replicates] = _unseen(float(value[0]), n, replicates)
    error = np.array([np.nanstd(draws, ddof=1)]) if not np.isnan(draws).all() else value * np.nan
    return Estimate(value, np.array([float(n)]), error, draws=draws[None])
