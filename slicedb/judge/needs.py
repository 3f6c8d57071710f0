"""How many samples would settle what is undecided, with the noise of the estimate counted."""

from __future__ import annotations

import math
from typing import NamedTuple

from slicedb import stats
from slicedb.judge.evidence import Evidence
from slicedb.show.numbers import count

POWER = 0.85
"""How often as many fresh samples reach a verdict if all distances from the bound are as likely.
Bounds tend to lie near the value, so that by simulation it is four of five."""

_LEAST = 1e-3
"""Distance from the bound, in standard errors, under which the value is taken to lie at it."""


class Needs(NamedTuple):
    """Samples at which a verdict is reached in four of five fresh samples of that size."""

    n: int
    low: int
    """If the true value lies as far from the bound as an 80 % interval allows."""
    high: int | None
    """If it lies as near; None where it may lie at the bound."""

    def __str__(self) -> str:
        reach = f"{self.low:,} or more" if self.high is None else f"{self.low:,} to {self.high:,}"
        return f"about {count(self.n, 'sample')} would settle it ({reach})"


class Levels(NamedTuple):
    """One-sided levels."""

    bounds: float
    """That of each bound of the interval."""
    passing: float
    """That at which it PASSes."""
    failing: float
    """That at which it FAILs."""


def needs(evidence: Evidence, levels: Levels, least: int) -> Needs | None:
    """Return the samples that would settle a test; None where no number does.

    Args:
        evidence: of the samples at hand, with a value and bounds.
        levels: of its bounds, and of the verdicts.
        least: samples below which the slice does not gate.
    """
    trial, value = evidence.trial, evidence.value
    # the bound of the interval that stands between the value and a verdict
    toward = evidence.low if (value > trial.bound) else evidence.high
    half, gap = abs(value - toward), abs(value - trial.bound)
    of_bounds, passing, failing = (stats.intervals.quantile(1 - level, 1) for level in levels)
    if not (half > 0 and math.isfinite(half)) or not evidence.n:
        return None
    z = of_bounds * gap / half
    if z < _LEAST:
        return None
    onward, back = (passing, failing) if evidence.holds else (failing, passing)
    n = stats.n_to_settle(z, evidence.n, onward, back, POWER)
    spread = stats.intervals.quantile(0.8, 2)
    far, near = (
        stats.n_at_distance(z + sign * spread, evidence.n, onward, POWER) for sign in (1, -1)
    )
    if n is None or far is None:
        return None
    low, most = max(min(far, n), least), None if near is None else max(near, n, least)
    return Needs(max(n, least), low, most)
