"""Intervals for one proportion and for one mean."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
"""float64 array of any shape (0-d for scalars)."""

Sides: TypeAlias = Literal[1, 2]
"""2: both bounds together hold at the confidence; 1: each bound alone does."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: Floats
    """Lower bound, NaN where undefined."""
    high: Floats
    """Upper bound, NaN where undefined."""


def tail(confidence: float, sides: Sides) -> float:
    """Return the probability left in one tail.

    Raises:
        ValueError: `confidence` is not strictly between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie strictly between 0 and 1.")
    return (1.0 - confidence) / sides


def quantile(confidence: float, sides: Sides) -> float:
    """Return the standard normal quantile of a bound (1.96 at 0.95, two-sided)."""
    from scipy.special import ndtri

    return float(-ndtri(tail(confidence, sides)))


def wilson(
    successes: npt.ArrayLike, n: npt.ArrayLike, confidence: float = 0.95, *, sides: Sides = 2
) -> Interval:
    """Return the Wilson score interval of a proportion (Wilson, JASA 1927).

    Args:
        successes: counts, not negative; fractions are allowed (effective sizes).
        n: trials; NaN bounds where it is 0.
        confidence: coverage wanted on average.
        sides: 1 makes each bound alone hold at `confidence`.

    Returns:
        low and high in [0, 1], float64, of the broadcast shape.

    Raises:
        ValueError: `confidence` is not strictly between 0 and 1.

    >>> low, high = wilson(8, 10)
    >>> print(f"{low:.4f} {high:.4f}")
    0.4902 0.9433
    """
    z = quantile(confidence, sides)
    k, m = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = k / m
        scale = 1.0 + z * z / m
        centre = (p + z * z / (2 * m)) / scale
        half = z / scale * np.sqrt(p * (1 - p) / m + z * z / (4 * m * m))
        low = np.where(k <= 0, 0.0, np.maximum(centre - half, 0.0))
        high = np.where(k >= m, 1.0, np.minimum(centre + half, 1.0))
    return _where_defined(m > 0, low, high)


def clopper_pearson(
    successes: npt.ArrayLike, n: npt.ArrayLike, confidence: float = 0.95, *, sides: Sides = 2
) -> Interval:
    """Return the exact interval of a proportion (Clopper & Pearson, Biometrika 1934).

    Never covers less than `confidence`. With fractional counts this is the interval of an
    effective sample size (Korn & Graubard, Survey Methodology 1998).

    Args:
        successes: counts, not negative.
        n: trials; NaN bounds where it is 0.
        confidence: coverage guaranteed.
        sides: 1 makes each bound alone hold at `confidence`.

    Returns:
        low and high in [0, 1], float64, of the broadcast shape.

    Raises:
        ValueError: `confidence` is not strictly between 0 and 1.

    >>> low, high = clopper_pearson(8, 10)
    >>> print(f"{low:.4f} {high:.4f}")
    0.4439 0.9748
    """
    from scipy.special import betaincinv

    alpha = tail(confidence, sides)
    k, m = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    with np.errstate(invalid="ignore"):
        inside_low = betaincinv(np.maximum(k, 1e-300), m - k + 1, alpha)
        inside_high = betaincinv(k + 1, np.maximum(m - k, 1e-300), 1 - alpha)
        low = np.where(k <= 0, 0.0, inside_low)
        high = np.where(k >= m, 1.0, inside_high)
    return _where_defined(m > 0, low, high)


def proportion_p(
    successes: npt.ArrayLike,
    n: npt.ArrayLike,
    bound: npt.ArrayLike,
    alternative: Literal["less", "greater"],
) -> Floats:
    """Return the exact one-sided p-value of a proportion against a bound.

    "less" is evidence that the true share lies below `bound`. It is at most 1 - confidence
    exactly when the one-sided Clopper-Pearson bound lies beyond `bound`.

    Args:
        successes: counts; fractions are allowed.
        n: trials; NaN where 0.
        bound: share in [0, 1] under the null hypothesis.
        alternative: the direction evidence is sought in.

    >>> print(f"{proportion_p(2, 10, 0.5, 'less'):.4f}")
    0.0547
    """
    from scipy.special import betainc

    k, m, q = np.broadcast_arrays(
        np.asarray(successes, float), np.asarray(n, float), np.asarray(bound, float)
    )
    q = np.clip(q, 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        if alternative == "less":  # P(X <= k) = I_{1-q}(m - k, k + 1)
            p = np.where(k >= m, 1.0, betainc(np.maximum(m - k, 1e-300), k + 1, 1 - q))
        else:  # P(X >= k) = I_q(k, m - k + 1)
            p = np.where(k <= 0, 1.0, betainc(np.maximum(k, 1e-300), m - k + 1, q))
    return np.where(m > 0, p, np.nan)[()]


def mean_interval(
    total: npt.ArrayLike,
    squares: npt.ArrayLike,
    n: npt.ArrayLike,
    confidence: float = 0.95,
    *,
    sides: Sides = 2,
) -> Interval:
    """Return Student's interval of a mean, from sums alone (Student, Biometrika 1908).

    Args:
        total: sum of the values.
        squares: sum of their squares.
        n: number of values; NaN bounds below 2.
        confidence: coverage when the mean is about normal.
        sides: 1 makes each bound alone hold at `confidence`.

    >>> low, high = mean_interval(15, 55, 5)  # of 1, 2, 3, 4, 5
    >>> print(f"{low:.4f} {high:.4f}")
    1.0368 4.9632
    """
    from scipy.special import stdtrit

    alpha = tail(confidence, sides)
    s, q, m = np.broadcast_arrays(
        np.asarray(total, float), np.asarray(squares, float), np.asarray(n, float)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = s / m
        variance = np.maximum(q - s * mean, 0.0) / (m - 1)
        half = -stdtrit(np.maximum(m - 1, 1), alpha) * np.sqrt(variance / m)
    return _where_defined(m > 1, mean - half, mean + half)


def _where_defined(defined: npt.NDArray[np.bool_], low: Floats, high: Floats) -> Interval:
    return Interval(np.where(defined, low, np.nan)[()], np.where(defined, high, np.nan)[()])
