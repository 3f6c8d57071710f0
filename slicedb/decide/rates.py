"""Count how often a threshold says yes wrongly, and no wrongly."""

from __future__ import annotations

from dataclasses import dataclass

from slicedb import stats
from slicedb.metrics.outcomes import Bools, Floats


@dataclass(frozen=True)
class ErrorRates:
    """The error rates of a threshold, each sample decided by one that was chosen without it."""

    false_positive: float
    """Share of the negatives that are decided yes; NaN: there are none."""
    false_positive_low: float
    false_positive_high: float
    n_negative: int
    false_negative: float
    """Share of the positives that are decided no."""
    false_negative_low: float
    false_negative_high: float
    n_positive: int

    def __str__(self) -> str:
        sides = (
            ("false positives", self.false_positive, self.false_positive_low)
            + (self.false_positive_high, self.n_negative, "negatives"),
            ("false negatives", self.false_negative, self.false_negative_low)
            + (self.false_negative_high, self.n_positive, "positives"),
        )
        return ", ".join(
            f"{name} {rate:.1%} [{low:.1%} to {high:.1%}] of {n:,} {of}"
            for name, rate, low, high, n, of in sides
            if n
        )


def error_rates(positive: Bools, yes: Floats, confidence: float = 0.95) -> ErrorRates:
    """Return the rates with exact intervals (Clopper & Pearson 1934).

    Args:
        positive: bool (n,).
        yes: float64 (n,) in [0, 1]: how often each sample is decided yes.
        confidence: of each interval.

    >>> import numpy as np
    >>> str(error_rates(np.array([True, True, False, False]), np.array([1.0, 0, 0, 0])))
    'false positives 0.0% [0.0% to 84.2%] of 2 negatives, false negatives 50.0% [1.3% to 98.7%] \
of 2 positives'
    """
    first, second = (_rate(wrong, confidence) for wrong in (yes[~positive], 1 - yes[positive]))
    return ErrorRates(*first, *second)


def _rate(wrong: Floats, confidence: float) -> tuple[float, float, float, int]:
    if not len(wrong):
        return float("nan"), float("nan"), float("nan"), 0
    low, high = stats.clopper_pearson(float(wrong.sum()), len(wrong), confidence)
    return float(wrong.mean()), float(low), float(high), len(wrong)
