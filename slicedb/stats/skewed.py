"""Intervals for the mean of skewed values, such as losses, in closed form.

Student's interval takes the mean and its standard error for independent. Where a few large values
carry the mean they are not: a sample that misses some of them has a mean that is too low and a
standard error that is too small, so that the upper bound promises too much. Hall's cubic
transformation of the studentised mean (Hall, JRSS B 1992) undoes that with the sample's skewness.
It sees no tail that the sample does not have; `bounded_p` holds there, too.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from slicedb.stats.intervals import Floats, Interval, Sides, clopper_pearson, proportion_p, tail

_STRAIGHT = 1e-6
"""Skewness over the root of n under which the transformation is the identity."""


def skewness(
    total: npt.ArrayLike, squares: npt.ArrayLike, cubes: npt.ArrayLike, n: npt.ArrayLike
) -> Floats:
    """Return the skewness of n values from their sums; 0 where all are the same.

    Args:
        total: sum of the values.
        squares: sum of their squares.
        cubes: sum of their cubes.
        n: number of values; NaN where it is 0.

    >>> print(f"{skewness(11, 101, 1001, 3):.4f}")  # of 0, 1, 10
    0.6810
    """
    s, q, c, m = np.broadcast_arrays(*(np.asarray(x, float) for x in (total, squares, cubes, n)))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = s / m
        variance = q / m - mean**2
        third = c / m - 3 * mean * q / m + 2 * mean**3
        # below the rounding of the squares there is no spread, and no skewness either
        spread = variance > 1e-12 * (q / m)
        skew = np.where(spread, third / np.where(spread, variance, 1.0) ** 1.5, 0.0)
        most = np.maximum(m - 2, 0) / np.sqrt(np.maximum(m - 1, 1))  # of one value beside equals
    return np.where(m > 0, np.clip(skew, -most, most), np.nan)[()]


def skewed_interval(
    mean: npt.ArrayLike,
    error: npt.ArrayLike,
    skew: npt.ArrayLike,
    n: npt.ArrayLike,
    confidence: float = 0.95,
    *,
    sides: Sides = 2,
) -> Interval:
    """Return Hall's interval of a mean (JRSS B 1992), with Student's quantiles.

    Args:
        mean: of the values.
        error: its standard error.
        skew: skewness of the values; 0 gives Student's interval.
        n: number of values; NaN bounds below 2.
        confidence: coverage wanted.
        sides: 1 makes each bound alone hold at `confidence`.

    >>> low, high = skewed_interval(1.0, 0.1, 2.0, 100)
    >>> print(f"{low:.4f} {high:.4f}")
    0.8259 1.2373
    """
    from scipy.special import stdtrit

    centre, scale, g, m = np.broadcast_arrays(
        *(np.asarray(x, float) for x in (mean, error, skew, n))
    )
    t = -stdtrit(np.maximum(m - 1, 1), tail(confidence, sides))
    with np.errstate(divide="ignore", invalid="ignore"):
        a = g / np.sqrt(m)
        low, high = centre - scale * _studentised(t, a), centre - scale * _studentised(-t, a)
    return Interval(np.where(m > 1, low, np.nan)[()], np.where(m > 1, high, np.nan)[()])


def skewed_p(
    mean: npt.ArrayLike,
    error: npt.ArrayLike,
    skew: npt.ArrayLike,
    n: npt.ArrayLike,
    bound: npt.ArrayLike,
    alternative: Literal["less", "greater"],
) -> Floats:
    """Return the one-sided p-value of a mean against a bound that `skewed_interval` inverts.

    Args:
        mean: of the values.
        error: its standard error.
        skew: skewness of the values.
        n: number of values; NaN below 2.
        bound: value under the null hypothesis.
        alternative: "less" seeks evidence that the true mean lies below `bound`.

    >>> print(f"{skewed_p(1.0, 0.1, 2.0, 100, 1.2, 'less'):.4f}")
    0.0450
    """
    from scipy.special import stdtr

    centre, scale, g, m, b = np.broadcast_arrays(
        *(np.asarray(x, float) for x in (mean, error, skew, n, bound))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(centre == b, 0.0, (centre - b) / scale)
        a = g / np.sqrt(m)
        cubic = t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6
        z = np.where(np.isinf(t), t, cubic)
    p = stdtr(np.maximum(m - 1, 1), z if alternative == "less" else -z)
    return np.where(m > 1, p, np.nan)[()]


def bounded_interval(
    mean: npt.ArrayLike,
    n: npt.ArrayLike,
    most: npt.ArrayLike,
    confidence: float = 0.95,
    *,
    sides: Sides = 2,
) -> Interval:
    """Return an interval of a mean of values in [0, most] that needs no tail to have been seen.

    It is the exact one of a proportion, of `mean * n / most` successes: of all such values with
    one mean, those that are 0 or `most` spread the most (Hoeffding, JASA 1963).

    >>> low, high = bounded_interval(0.05, 100, 2.0)
    >>> print(f"{low:.4f} {high:.4f}")
    0.0084 0.1558
    """
    top = np.asarray(most, float)
    size = np.where(np.isnan(top), 0.0, np.asarray(n, float))
    with np.errstate(invalid="ignore"):
        share = np.clip(np.nan_to_num(np.asarray(mean, float) / top), 0.0, 1.0)
    low, high = clopper_pearson(share * size, size, confidence, sides=sides)
    return Interval(low * top, high * top)


def bounded_p(
    mean: npt.ArrayLike,
    n: npt.ArrayLike,
    most: npt.ArrayLike,
    bound: npt.ArrayLike,
    alternative: Literal["less", "greater"],
) -> Floats:
    """Return the one-sided p-value that belongs to `bounded_interval`; NaN where `most` is NaN.

    >>> print(f"{bounded_p(0.05, 100, 2.0, 0.15, 'less'):.4f}")
    0.0313
    """
    top = np.asarray(most, float)
    size = np.where(np.isnan(top), 0.0, np.asarray(n, float))
    with np.errstate(invalid="ignore"):
        share = np.clip(np.nan_to_num(np.asarray(mean, float) / top), 0.0, 1.0)
        against = np.nan_to_num(np.asarray(bound, float) / top)
    return proportion_p(share * size, size, against, alternative)


def equal_interval(
    value: npt.ArrayLike, n: npt.ArrayLike, span: tuple[float, float], alpha: float
) -> Interval:
    """Return an interval of the mean of n values that are all the same.

    Other values have at most the chance 1 - alpha^(1/n), and lie anywhere in the span.

    Args:
        value: that all have.
        n: number of values; NaN bounds where it is 0.
        span: the least and the largest that a value can be, infinite where there is no such.
        alpha: chance that each bound may miss.

    >>> low, high = equal_interval(0.0, 10, (0.0, 2.0), 0.05)
    >>> print(f"{low:.4f} {high:.4f}")
    0.0000 0.5177
    """
    v, m = np.broadcast_arrays(np.asarray(value, float), np.asarray(n, float))
    with np.errstate(divide="ignore", invalid="ignore"):
        unseen = np.where(m > 0, 1 - alpha ** (1 / m), np.nan)
        low = np.where(v > span[0], v - unseen * (v - span[0]), v)
        high = np.where(v < span[1], v + unseen * (span[1] - v), v)
    known = m > 0
    return Interval(np.where(known, low, np.nan)[()], np.where(known, high, np.nan)[()])


def equal_p(
    value: npt.ArrayLike,
    n: npt.ArrayLike,
    span: tuple[float, float],
    bound: npt.ArrayLike,
    alternative: Literal["less", "greater"],
) -> Floats:
    """Return the one-sided p-value that belongs to `equal_interval`.

    >>> print(f"{equal_p(0.0, 10, (0.0, 2.0), 0.5, 'less'):.4f}")
    0.0563
    """
    v, m, b = np.broadcast_arrays(*(np.asarray(x, float) for x in (value, n, bound)))
    away, room = (b - v, span[1] - v) if alternative == "less" else (v - b, v - span[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(room > 0, away / room, away > 0)
        p = (1 - np.clip(share, 0.0, 1.0)) ** m
    return np.where(m > 0, p, np.nan)[()]


def _studentised(z: Floats, a: Floats) -> Floats:
    """Return the studentised mean that Hall's transformation takes to z.

    z = t + a t^2 / 3 + a^2 t^3 / 27 + a / 6 is a cube but for constants, so that it can be solved.
    """
    safe = np.where(np.abs(a) < _STRAIGHT, 1.0, a)
    return np.where(np.abs(a) < _STRAIGHT, z, 3 * (np.cbrt(1 + safe * (z - safe / 6)) - 1) / safe)
