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


def n_to_narrow(n: int, half: float, gap: float) -> int | None:
    """Return the images at which half the width of an interval is no more than a gap.

    Widths shrink with the root of n.

    Args:
        n: images at hand.
        half: half the width with them.
        gap: distance of the estimate from the bound.

    Returns:
        The n, or None where there is no gap, the width is not known, or `LARGEST` would not do.

    >>> n_to_narrow(100, 0.1, 0.05)
    400
    """
    if not (gap > 0 and math.isfinite(half)) or n * (half / gap) ** 2 > LARGEST:
        return None
    return math.ceil(n * (half / gap) ** 2)


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
