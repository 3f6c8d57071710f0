"""Measure how far confidence is from accuracy, and the calibration error without its noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import stats
from slicedb.errors import SliceError
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.show import charts
from slicedb.show.tabular import Grid, Tabular

Binning: TypeAlias = Literal["width", "mass"]
"""Bins of equal width in [0, 1], or of equally many samples."""

BINS = 15

_MOST_BINS = 200
"""Bins of equal width that are drawn at their places."""


@dataclass(frozen=True, eq=False, repr=False)
class Reliability(Tabular):
    """The data of a reliability diagram; empty bins are left out."""

    low: Floats
    """float64 (b,): lower edge, outside the bin."""
    high: Floats
    """float64 (b,): upper edge, inside the bin."""
    n: Ints
    """int64 (b,): samples."""
    confidence: Floats
    """float64 (b,): mean confidence."""
    accuracy: Floats
    """float64 (b,): share that is correct."""
    accuracy_low: Floats
    """Wilson bound."""
    accuracy_high: Floats
    """Wilson bound."""

    @property
    def ece(self) -> float:
        """Expected calibration error in [0, 1]: mean |accuracy - confidence| over samples."""
        return float((self.n * np.abs(self.accuracy - self.confidence)).sum() / self.n.sum())

    @property
    def ece_debiased(self) -> float:
        """The same without what chance alone adds: near 0 where calibration is perfect.

        The sign of a bin's gap is taken from one half of its samples and the gap from the other,
        averaged over all halvings by the normal law, so that noise cancels; a gap as small as
        its own noise counts for less than it is. (Kumar, Liang & Ma,
        NeurIPS 2019, say why the plain one is biased; halving avoids their resampling.)
        """
        from scipy.special import ndtr

        gap = np.abs(self.accuracy - self.confidence)
        a = np.clip(self.accuracy, 1 / (self.n + 2), 1 - 1 / (self.n + 2))
        spread = np.sqrt(a * (1 - a) / self.n)
        ratio = gap / spread
        density = np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
        freed = gap * (2 * ndtr(ratio) - 1) - 2 * spread * density
        return max(0.0, float((self.n * freed).sum() / self.n.sum()))

    @property
    def largest(self) -> float:
        """Maximum calibration error: the largest gap of a bin."""
        return float(np.abs(self.accuracy - self.confidence).max())

    def to_arrow(self) -> pa.Table:
        """Return one row per bin."""
        return pa.table(dict(vars(self)))

    def parts(self) -> Iterator[Grid]:
        """Yield one row per bin, with the gap between accuracy and confidence."""
        rows = [
            [f"{lo:.3f} to {hi:.3f}", f"{n:,}", f"{c:.3f}", f"{a:.3f}", f"{a - c:+.3f}"]
            for lo, hi, n, c, a in zip(self.low, self.high, self.n, self.confidence, self.accuracy)
        ]
        yield Grid(["confidence", "n", "mean", "accuracy", "gap"], rows, align=">>>>>")

    def draw(self) -> str:
        """Return the diagram as SVG; bins of equal mass stand beside one another."""
        n_bins = len(self.n)
        width = float((self.high - self.low).min()) if n_bins else 1.0
        even = bool(np.allclose(self.high - self.low, width)) and round(1 / width) <= _MOST_BINS
        places = np.rint(self.low / width).astype(int) if even else np.arange(n_bins)
        bins = [(0.0, 0.0, 0.0)] * (round(1 / width) if even else n_bins)
        ends = [(float("nan"), float("nan"))] * len(bins)
        for k, at in enumerate(places.tolist()):
            n = float(self.n[k])
            bins[at] = (n, float(self.confidence[k]) * n, float(self.accuracy[k]) * n)
            ends[at] = (float(self.accuracy_low[k]), float(self.accuracy_high[k]))
        return charts.reliability(bins, ends)[0]


def reliability(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    bins: int = BINS,
    binning: Binning = "width",
    level: float = 0.95,
) -> Reliability:
    """Return the bins of a reliability diagram.

    Bin i holds (edge i, edge i + 1]; the first one holds 0, too (Guo et al., ICML 2017). With
    equal mass, equal confidences stay together.

    Args:
        confidence: float (n,) in [0, 1].
        correct: bool (n,).
        bins: at most so many.
        binning: "width" or "mass".
        level: confidence of the intervals of the accuracies.

    Raises:
        SliceError: there are no samples, or a confidence is NaN or outside [0, 1].

    >>> diagram = reliability([0.9, 0.9, 0.6, 0.6], [True, True, True, False])
    >>> round(diagram.ece, 3)
    0.1
    """
    p, hit = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if not len(p):
        raise SliceError("There are no samples to calibrate on.", "widen the slice.")
    if not ((p >= 0) & (p <= 1)).all():
        raise SliceError("A confidence is NaN or outside 0 to 1.", "give probabilities.")
    if binning == "width":
        edges = np.linspace(0.0, 1.0, bins + 1)
    else:
        inner = np.quantile(p, np.arange(1, bins) / bins, method="inverted_cdf")
        edges = np.unique(np.concatenate([[0.0], inner, [1.0]]))
    at = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, len(edges) - 2)
    n = np.bincount(at, minlength=len(edges) - 1)
    full = n > 0
    n = n[full]
    mean, accuracy = (np.bincount(at, v, len(edges) - 1)[full] / n for v in (p, hit))
    low, high = stats.wilson(np.rint(accuracy * n), n, level)
    return Reliability(edges[:-1][full], edges[1:][full], n, mean, accuracy, low, high)


def ece(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    bins: int = BINS,
    binning: Binning = "width",
    debiased: bool = False,
) -> float:
    """Return the expected calibration error, in [0, 1].

    >>> ece([0.7] * 10, [True] * 7 + [False] * 3) < 1e-12
    True
    """
    diagram = reliability(confidence, correct, bins=bins, binning=binning)
    return diagram.ece_debiased if debiased else diagram.ece
