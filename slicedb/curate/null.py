"""Estimate from the data's own unrelated pairs how many pairs would be near by accident.

Of a few million pairs drawn at random hardly one is related, so their distances are a null
distribution. A threshold lies far below all of them. The tail is continued by the straight line, in
the logarithm of the share, through its 10 % and its 0.5 % points: tails of such distances fall ever
more steeply, so that the line lies above them, and a few related pairs among those drawn do not
move these points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slicedb.metrics.outcomes import Floats, Ints

DRAWN = 2_000_000
"""Pairs that are drawn."""
FEWEST = 1000
"""Pairs below which they say nothing of their tail, and a fixed threshold is taken."""
_HIGH, _LOW = 0.1, 0.005


@dataclass(frozen=True)
class Null:
    """How distances of unrelated pairs are distributed, and the threshold that follows."""

    what: str
    """What is measured: "bits of 256" or "1 - cosine"."""
    threshold: float
    """Pairs up to this distance count as near."""
    why: str
    """Where the threshold comes from: the null, its cap, or the caller."""
    pairs: int
    """All pairs that are compared."""
    drawn: int
    """Pairs that were drawn."""
    quantiles: tuple[float, float, float]
    """Of the distances of the drawn: the nearest 1 in 1000, 1 in 100, and the median; NaN where
    none were drawn."""
    slope: float
    """By how much the logarithm of the share rises per unit of distance; NaN if unknown."""
    anchor: float
    """The distance that 0.5 % of the drawn pairs do not pass."""

    def expected(self, distance: float) -> float:
        """Return how many unrelated pairs are expected at this distance or below, at most."""
        if np.isnan(self.slope):
            return float("nan")
        share = _LOW * np.exp(self.slope * (distance - self.anchor))
        return float(self.pairs * min(share, 1.0))


def draw(n: int, m: int = DRAWN, seed: int = 0) -> tuple[Ints, Ints]:
    """Return m random pairs of different rows of n, or all pairs where there are no more.

    Returns:
        int64 (m,) twice, the left ones below the right ones.
    """
    if n * (n - 1) // 2 <= m:
        left, right = np.triu_indices(n, 1)
        return left.astype(np.int64), right.astype(np.int64)
    rng = np.random.default_rng(seed)
    left = rng.integers(0, n, m)
    right = (left + rng.integers(1, n, m)) % n
    return np.minimum(left, right), np.maximum(left, right)


def estimate(
    what: str,
    n: int,
    distances_of: Callable[[Ints, Ints], Floats],
    *,
    given: float | None,
    false_pairs: float,
    related: float,
    cap: float,
    fixed: float,
    drawn: tuple[Ints, Ints] | None = None,
    pairs: int | None = None,
) -> Null:
    """Draw pairs and return the threshold at which few unrelated ones are expected.

    Args:
        what: what is measured.
        n: samples.
        distances_of: gives the distances of pairs of rows.
        given: the caller's threshold; None takes the one of the null.
        false_pairs: how many unrelated pairs may be expected among all pairs.
        related: distance up to which a drawn pair is left out of the null, as a related one.
        cap: the threshold is never larger.
        fixed: the threshold where there are too few pairs for a null.
        drawn: the pairs of rows to take for unrelated ones; None draws them.
        pairs: how many pairs are compared; None are all.
    """
    pairs = n * (n - 1) // 2 if pairs is None else pairs
    left, right = draw(n) if drawn is None else drawn
    distances = np.asarray(distances_of(left, right), dtype=np.float64)
    distances = np.sort(distances[distances > related])
    nan = float("nan")
    if len(distances) < FEWEST:
        why = "few pairs: the fixed threshold" if given is None else "as given"
        threshold = fixed if given is None else given
        return Null(what, threshold, why, pairs, len(distances), (nan, nan, nan), nan, nan)
    high, low, one, two, three = (
        float(distances[int(share * (len(distances) - 1))])
        for share in (_HIGH, _LOW, 0.001, 0.01, 0.5)
    )
    slope = float(np.log(_HIGH / _LOW) / max(high - low, 1e-9))
    wanted = low + np.log(false_pairs / max(pairs, 1) / _LOW) / slope
    threshold, why = min(
        (wanted, f"at most {false_pairs:g} unrelated pairs expected"),
        (cap, "the largest that is ever taken"),
    )
    threshold = max(float(threshold), 0.0)
    if given is not None:
        threshold, why = given, "as given"
    return Null(what, float(threshold), why, pairs, len(distances), (one, two, three), slope, low)
