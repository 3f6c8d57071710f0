"""Compare two models on the same samples: the difference, its interval and its test.

`only_a` counts the samples that A has right and B wrong, `only_b` the reverse; the samples on
which both agree say nothing about the difference, only about its size relative to `n`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slicedb.stats.intervals import Floats, Interval, Sides, mean_interval, quantile, wilson

Alternative: TypeAlias = Literal["two-sided", "less", "greater"]

_NOTHING = 1e-12  # a difference below rounding is none
_HALVINGS = 60
"""Bisection steps: 2 / 2**60 is below the spacing of float64 near 1."""


def mcnemar(
    only_a: npt.ArrayLike, only_b: npt.ArrayLike, alternative: Alternative = "two-sided"
) -> Floats:
    """Return the exact p-value that two models differ (McNemar, Psychometrika 1947).

    Binomial on the discordant samples, so it holds its level at any size.

    Args:
        only_a: counts that A alone has right.
        only_b: counts that B alone has right.
        alternative: "less" seeks evidence that A is worse than B.

    Returns:
        float64 in (0, 1], 1 where no sample is discordant.

    >>> print(f"{mcnemar(2, 10):.4f} {mcnemar(2, 10, 'less'):.4f}")
    0.0386 0.0193
    """
    from scipy.special import bdtr

    a, b = np.broadcast_arrays(np.asarray(only_a, np.int64), np.asarray(only_b, np.int64))
    if alternative == "two-sided":
        return np.asarray(np.minimum(1.0, 2 * bdtr(np.minimum(a, b), a + b, 0.5)))[()]
    worse = a if alternative == "less" else b
    return np.asarray(bdtr(worse, a + b, 0.5))[()]


def paired_score(
    only_a: npt.ArrayLike, only_b: npt.ArrayLike, n: npt.ArrayLike, difference: npt.ArrayLike
) -> Floats:
    """Return Tango's score statistic for accuracy(A) - accuracy(B) = `difference`.

    About standard normal when `difference` is true; falls as `difference` rises. At 0 it is
    McNemar's statistic without continuity correction. (Tango, Statistics in Medicine 1998.)

    Args:
        only_a: counts that A alone has right.
        only_b: counts that B alone has right.
        n: samples both models saw; NaN where 0.
        difference: hypothesised difference in [-1, 1].
    """
    b, c, m, d = np.broadcast_arrays(
        np.asarray(only_a, float),
        np.asarray(only_b, float),
        np.asarray(n, float),
        np.asarray(difference, float),
    )
    d = np.where(np.abs(d) < _NOTHING, 0.0, d)
    with np.errstate(divide="ignore", invalid="ignore"):
        # q: the share that only B has right, by maximum likelihood under the hypothesis
        linear = -b - c + (2 * m - b + c) * d
        q = (np.sqrt(np.maximum(linear**2 + 8 * m * c * d * (1 - d), 0.0)) - linear) / (4 * m)
        variance = np.maximum(m * (2 * q + d * (1 - d)), 0.0)
        gap = b - c - m * d
        z = np.where(gap == 0, 0.0, gap / np.sqrt(variance))
    return np.where(m > 0, z, np.nan)[()]


def paired_interval(
    only_a: npt.ArrayLike,
    only_b: npt.ArrayLike,
    n: npt.ArrayLike,
    confidence: float = 0.95,
    *,
    sides: Sides = 2,
) -> Interval:
    """Return the score interval of accuracy(A) - accuracy(B) (Tango 1998).

    Found by bisection on `paired_score`, all elements at once. Unlike Wald's it keeps its level
    with few discordant samples, and has width when there are none.

    Args:
        only_a: counts that A alone has right.
        only_b: counts that B alone has right.
        n: samples both models saw; NaN where 0.
        confidence: coverage wanted on average.
        sides: 1 makes each bound alone hold at `confidence`.

    Returns:
        low and high in [-1, 1].

    >>> low, high = paired_interval(2, 10, 100)
    >>> print(f"{low:.4f} {high:.4f}")
    -0.1580 -0.0143
    """
    z = quantile(confidence, sides)
    b, c, m = np.broadcast_arrays(
        np.asarray(only_a, float), np.asarray(only_b, float), np.asarray(n, float)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = (b - c) / m
    low = _solve(b, c, m, -np.ones_like(m), estimate, z)
    high = _solve(b, c, m, estimate, np.ones_like(m), -z)
    defined = m > 0
    return Interval(np.where(defined, low, np.nan)[()], np.where(defined, high, np.nan)[()])


def newcombe(
    only_a: npt.ArrayLike,
    only_b: npt.ArrayLike,
    both: npt.ArrayLike,
    n: npt.ArrayLike,
    confidence: float = 0.95,
    *,
    sides: Sides = 2,
) -> Interval:
    """Return Newcombe's hybrid interval of accuracy(A) - accuracy(B), without iteration.

    Method 10 of Newcombe (Statistics in Medicine 1998): the Wilson intervals of both shares,
    joined by their correlation. `paired_interval` covers better with few discordant samples.

    Args:
        only_a: counts that A alone has right.
        only_b: counts that B alone has right.
        both: counts that both have right.
        n: samples both models saw; NaN where 0.
        confidence: coverage wanted on average.
        sides: 1 makes each bound alone hold at `confidence`.

    Returns:
        low and high in [-1, 1].

    >>> low, high = newcombe(12, 2, 36, 50)
    >>> print(f"{low:.4f} {high:.4f}")
    0.0569 0.3404
    """
    b, c, a, m = np.broadcast_arrays(*(np.asarray(x, float) for x in (only_a, only_b, both, n)))
    d = m - a - b - c
    first, second = (
        wilson(a + b, m, confidence, sides=sides),
        wilson(a + c, m, confidence, sides=sides),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = (a + b) / m, (a + c) / m
        marginals = (a + b) * (c + d) * (a + c) * (b + d)
        gap = a * d - b * c
        gap = np.where(gap > 0, np.maximum(gap - m / 2, 0.0), gap)  # continuity, as he gives it
        phi = np.where(marginals > 0, gap / np.sqrt(marginals), 0.0)
        down, up = p - first.low, second.high - q
        low = p - q - np.sqrt(np.maximum(down**2 - 2 * phi * down * up + up**2, 0.0))
        up, down = first.high - p, q - second.low
        high = p - q + np.sqrt(np.maximum(up**2 - 2 * phi * up * down + down**2, 0.0))
    defined = m > 0
    return Interval(np.where(defined, low, np.nan)[()], np.where(defined, high, np.nan)[()])


def _solve(b: Floats, c: Floats, m: Floats, left: Floats, right: Floats, target: float) -> Floats:
    """Return where the falling score crosses `target` between `left` and `right`."""
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        above = paired_score(b, c, m, middle) > target
        left = np.where(above, middle, left)
        right = np.where(above, right, middle)
    return (left + right) / 2


def noninferiority_p(
    only_a: npt.ArrayLike,
    only_b: npt.ArrayLike,
    n: npt.ArrayLike,
    margin: npt.ArrayLike,
    alternative: Literal["less", "greater"] = "greater",
) -> Floats:
    """Return the one-sided p-value about A being at most `margin` worse than B (Tango 1998).

    "greater" seeks evidence for non-inferiority (the null is: worse by `margin` or more);
    "less" seeks evidence against it. With margin 0, prefer the exact `mcnemar`.

    Args:
        only_a: counts that A alone has right.
        only_b: counts that B alone has right.
        n: samples both models saw; NaN where 0.
        margin: the difference that is tolerated, in [0, 1).
        alternative: the direction evidence is sought in.

    >>> print(f"{noninferiority_p(10, 10, 500, 0.02):.4f}")
    0.0202
    """
    from scipy.special import ndtr

    z = paired_score(only_a, only_b, n, -np.asarray(margin, float))
    return np.asarray(ndtr(-z if alternative == "greater" else z))[()]


def paired_mean_interval(
    a: npt.ArrayLike, b: npt.ArrayLike, confidence: float = 0.95, *, sides: Sides = 2
) -> Interval:
    """Return Student's interval of mean(a - b) over paired values.

    Args:
        a: float (n,), for example the losses of A.
        b: float (n,), those of B on the same samples.
        confidence: coverage when the mean difference is about normal.
        sides: 1 makes each bound alone hold at `confidence`.

    >>> low, high = paired_mean_interval([2, 3, 5], [1, 1, 1])
    >>> print(f"{low:.4f} {high:.4f}")
    -1.4612 6.1279
    """
    d = np.asarray(a, float) - np.asarray(b, float)
    shift = d.mean() if d.size else 0.0  # centred first: squares of large values lose digits
    centred = d - shift
    low, high = mean_interval(centred.sum(), (centred**2).sum(), d.size, confidence, sides=sides)
    return Interval(low + shift, high + shift)
