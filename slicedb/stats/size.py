"""Compute how many images a question needs."""

from __future__ import annotations

import math
from collections.abc import Callable

from slicedb.stats.intervals import Sides, quantile

LARGEST = 10_000_000
"""No answer above this many images is given: the question cannot be settled by counting."""


def n_for_paired(
    disagreement: float,
    drop: float,
    confidence: float = 0.95,
    power: float = 0.8,
    *,
    sides: Sides = 1,
) -> int:
    """Return the images on which a drop between two models is found (Connor, Biometrics 1987).

    Args:
        disagreement: share of the images on which exactly one of the two is right, in (0, 1].
        drop: difference in accuracy to detect, in (0, disagreement].
        confidence: one minus the share of false alarms.
        power: share of true drops of this size that are found.
        sides: 1 asks for drops only.

    Raises:
        ValueError: `drop` is not positive or passes `disagreement`.

    >>> n_for_paired(0.064, 0.02)
    988
    """
    if not 0 < drop <= disagreement <= 1:
        raise ValueError(
            f"drop is {drop} and disagreement {disagreement}; 0 < drop <= disagreement <= 1."
        )
    z_alpha, z_beta = quantile(confidence, sides), quantile(power, 1)
    spread = z_alpha * math.sqrt(disagreement) + z_beta * math.sqrt(disagreement - drop**2)
    return math.ceil((spread / drop) ** 2)


def drop_for_paired(
    disagreement: float,
    n: int,
    confidence: float = 0.95,
    power: float = 0.8,
    *,
    sides: Sides = 1,
) -> float:
    """Return the smallest drop that n images find, the inverse of `n_for_paired`.

    Args:
        disagreement: share of the images on which exactly one of the two is right, in (0, 1].
        n: images.
        confidence: one minus the share of false alarms.
        power: share of true drops of this size that are found.
        sides: 1 asks for drops only.

    Returns:
        The drop in (0, disagreement]; NaN where even the largest one is not found.

    >>> print(f"{drop_for_paired(0.064, 988):.4f}")
    0.0200
    """
    if n < 1 or not 0 < disagreement <= 1:
        return math.nan
    if n_for_paired(disagreement, disagreement, confidence, power, sides=sides) > n:
        return math.nan
    low, high = 0.0, disagreement
    for _ in range(60):
        middle = (low + high) / 2
        is_found = middle > 0 and (
            n_for_paired(disagreement, middle, confidence, power, sides=sides) <= n
        )
        low, high = (low, middle) if is_found else (middle, high)
    return high


def n_at_distance(z: float, n: int, critical: float, power: float = 0.8) -> int | None:
    """Return the images at which a true distance from a bound is found.

    Standard errors shrink with the root of n.

    Args:
        z: true distance, in standard errors of n images.
        n: images at hand.
        critical: distance in standard errors from which on a verdict is reached.
        power: share of samples in which it is to be reached.

    Returns:
        The n, or None where the distance is not positive or `LARGEST` would not do.

    >>> n_at_distance(1.0, 100, 1.645)
    619
    """
    if not z > 0 or not math.isfinite(z):
        return None
    wanted = n * ((critical + quantile(power, 1)) / z) ** 2
    return None if wanted > LARGEST else math.ceil(wanted)


def n_to_settle(z: float, n: int, onward: float, back: float, power: float = 0.8) -> int | None:
    """Return the images at which a fresh sample reaches a verdict, on either side of a bound.

    The distance seen is itself an estimate: the true one is taken to be normal about it, as wide
    as its error, so that the power is the average over what the truth may be (the assurance of
    O'Hagan, Stevens & Campbell, Pharm. Stat. 2005). A truth on the other side is settled, too.

    Args:
        z: distance of the estimate from the bound, in standard errors; positive.
        n: images at hand.
        onward: distance from which on the verdict on the side of the estimate is reached.
        back: the same for the other side.
        power: share of samples in which either is to be reached.

    Returns:
        The n, or None where `LARGEST` would not do.

    >>> n_to_settle(1.0, 100, 1.645, 1.645)
    1576
    """

    def settles(k: int) -> bool:
        mean, spread = z * math.sqrt(k / n), math.sqrt(1 + k / n)
        upper = _normal((mean - onward) / spread)
        return upper + _normal((-mean - back) / spread) >= power

    return n_to_clear(settles, n)


def _normal(z: float) -> float:
    """Return the standard normal distribution function."""
    return math.erfc(-z / math.sqrt(2)) / 2


def n_to_clear(clears: Callable[[int], bool], start: int) -> int | None:
    """Return about the smallest n from `start` on at which `clears(n)` holds.

    Doubling, then bisection: exact when `clears` stays true once it is.

    Args:
        clears: says whether n images, if the rates stay as observed, settle the question.
        start: images at hand, at least 1.

    Returns:
        The n, or None when `LARGEST` images would not do.

    >>> n_to_clear(lambda n: n >= 1234, 10)
    1234
    """
    low, high = 0, max(start, 1)
    while not clears(high):
        low, high = high, high * 2
        if high > LARGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if clears(middle) else (middle, high)
    return high
