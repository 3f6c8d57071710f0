"""Compute what every threshold on a score costs, by one sort.

Whoever decides "yes" from a score pays `yes[i]` for sample i, and `no[i]` for deciding "no".
False positives, false negatives, costs of single samples and the cost of asking a person are all
of this shape. The rule is `score >= threshold`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.errors import SliceError
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.show import curves, numbers
from slicedb.stats.intervals import quantile


@dataclass(frozen=True, eq=False)
class Curve:
    """The mean cost at every cut point, from "never yes" down to "always yes"."""

    threshold: Floats
    """float64 (k,): falling; infinity first, then every distinct score."""
    n_yes: Ints
    """int64 (k,): samples at or above the threshold."""
    cost: Floats
    """float64 (k,): mean cost per sample."""
    error: Floats
    """float64 (k,): standard error of that mean."""

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.n_yes[-1])

    @property
    def best(self) -> int:
        """Index of the cheapest cut; of several the one with the fewest "yes"."""
        return int(np.argmin(self.cost))

    def at(self, threshold: float) -> int:
        """Return the index of the cut that a threshold makes.

        >>> sweep([0.9, 0.8, 0.2], [0, 1, 1], [5, 0, 0]).at(0.5)
        2
        """
        return int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1

    @property
    def saving(self) -> Floats:
        """float64 (k,): saving per sample against the better of never and always (profit)."""
        return np.asarray(min(self.cost[0], self.cost[-1]) - self.cost)

    def to_arrow(self) -> pa.Table:
        """Return one row per cut point."""
        share = self.n_yes / self.n
        return pa.table(
            {
                "threshold": self.threshold,
                "n_yes": self.n_yes,
                "share_yes": share,
                "cost": self.cost,
                "saving": self.saving,
            }
        )

    def draw(self, used: curves.Mark | None = None, confidence: float = 0.95) -> str:
        """Return the cost by threshold as SVG, with the normal interval of each mean.

        Args:
            used: the threshold to mark; None marks the cheapest.
            confidence: of the intervals.
        """
        x, cost = self.threshold[:0:-1], self.cost[:0:-1]
        half = quantile(confidence, 2) * self.error[:0:-1]
        low, high = np.maximum(cost - half, 0.0), cost + half
        mean = curves.Series("cost per sample", *(v.tolist() for v in (x, cost, low, high)))
        most = float(high.max()) or 1.0
        axes = curves.Axes(
            "threshold", "cost per sample", (min(0.0, x[0]), max(1.0, x[-1])), (0.0, most)
        )
        mark = used or curves.Mark(readable(self, self.best), "cheapest")
        marks = [mark] if np.isfinite(mark.x) else []
        return curves.lines(
            [mean], axes, f"cost by threshold, n = {self.n:,}, band {confidence:.0%}", marks
        )

    def __str__(self) -> str:
        at = self.best
        return (
            f"{numbers.count(len(self.cost), 'cut point')} of {numbers.count(self.n, 'sample')}; "
            f"cheapest at {readable(self, at):g}: {self.cost[at]:.4g} per sample"
        )


def sweep(score: npt.ArrayLike, yes: npt.ArrayLike, no: npt.ArrayLike) -> Curve:
    """Return the cost at every cut point, by one sort.

    Args:
        score: float (n,); equal scores share a cut.
        yes: float (n,): cost of deciding yes.
        no: float (n,): cost of deciding no.

    Raises:
        SliceError: there are no samples, or a score is NaN.

    >>> curve = sweep([0.9, 0.8, 0.2], yes=[0, 1, 1], no=[5, 0, 0])
    >>> curve.cost.round(2).tolist(), curve.threshold[curve.best].item()
    ([1.67, 0.0, 0.33, 0.67], 0.9)
    """
    s, y, n = arrays_of(score, yes, no)
    _, ends, ordered, values = in_runs(s)
    steps = np.cumsum((y - n)[ordered])[ends]
    cost = (n.sum() + np.concatenate([[0.0], steps])) / len(s)
    steps = np.cumsum((y**2 - n**2)[ordered])[ends]
    squares = ((n**2).sum() + np.concatenate([[0.0], steps])) / len(s)
    error = np.sqrt(np.maximum(squares - cost**2, 0.0) / len(s))
    return Curve(np.append(np.inf, values), np.append(0, ends + 1), cost, error)


def readable(curve: Curve, at: int) -> float:
    """Return the shortest number that cuts where the curve's cut does, in float32 too.

    >>> readable(sweep([0.91237, 0.11111], [0, 1], [1, 0]), 1)
    0.5
    """
    high = float(curve.threshold[at])
    if at == 0:
        return high
    if at + 1 == len(curve.threshold):
        return 0.0 if high >= 0 else high
    low = float(curve.threshold[at + 1])
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        tried = round(middle, digits)
        if low < tried <= high and low < float(np.float32(tried)) <= high:
            return tried
    return high


def arrays_of(
    score: npt.ArrayLike, yes: npt.ArrayLike, no: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    s = np.asarray(score, np.float64)
    if not s.size:
        raise SliceError("There are no samples to choose a threshold on.", "widen the slice.")
    if np.isnan(s).any():
        raise SliceError(
            f"{numbers.count(int(np.isnan(s).sum()), 'score is', 'scores are')} NaN.",
            "leave those samples out.",
        )
    y, n = (np.broadcast_to(np.asarray(v, np.float64), s.shape) for v in (yes, no))
    return s, y, n


def in_runs(score: Floats) -> tuple[int, Ints, Ints, Floats]:
    """Return n, the last place of each run of equal scores, the order, the distinct scores."""
    ordered = np.argsort(-score, kind="stable")
    falling = score[ordered]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(score) - 1)
    return len(score), ends, ordered, falling[ends]
